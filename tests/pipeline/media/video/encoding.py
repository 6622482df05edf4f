"""Streams of access units for tests, made by x264 and x265, and the right picture of each unit."""

import hashlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from itertools import groupby
from pathlib import Path

import av
import numpy as np

from pipeline.media.video.first_slice import Codec
from pipeline.media.video.outcomes import Decoded, Outcome, Unkeyed
from pipeline.media.video.regrouping import TimedUnit
from pipeline.media.video.unit_decoder import UnitDecoder

Units = Sequence[tuple[int, bytes]]  # the number of a unit in its undamaged stream, its bytes

STORED = Path(__file__).with_name("streams")
FRAMES, GROUP = 40, 10
WIDTH, HEIGHT = 96, 64

_AT_ONCE = {"tune": "zerolatency"}
# name -> codec, options of the encoder, parameters of x264 or x265
_STREAMS: dict[str, tuple[Codec, dict[str, str], str]] = {
    "cabac": ("h264", _AT_ONCE, ""),
    "cavlc": ("h264", _AT_ONCE | {"profile": "baseline"}, ""),
    "slices": ("h264", _AT_ONCE, "slices=3"),
    "messages": (
        "h264",
        _AT_ONCE,
        "slices=2:aud=1:nal-hrd=cbr:bitrate=900:vbv-maxrate=900:vbv-bufsize=900",
    ),
    "mbaff": ("h264", _AT_ONCE, "tff=1"),
    "reordered": ("h264", {}, "bframes=3:b-pyramid=normal:rc-lookahead=10"),
    "reordered slices": ("h264", {}, "bframes=2:slices=3:rc-lookahead=10"),
    "open groups": (
        "h264",
        {},
        "bframes=2:b-adapt=0:open-gop=1:keyint=9:min-keyint=9:rc-lookahead=10",
    ),
    "gradual refresh": ("h264", _AT_ONCE, "intra-refresh=1"),
    "gradual refresh cavlc": ("h264", _AT_ONCE, "intra-refresh=1:cabac=0"),
    "hevc": ("hevc", _AT_ONCE, ""),
    "hevc checksums": ("hevc", _AT_ONCE, "hash=1"),
    "hevc slices": ("hevc", _AT_ONCE, "slices=3:ctu=16:pools=2"),  # x265 crashes without threads
    "hevc reordered": ("hevc", {}, "bframes=3:rc-lookahead=8"),
}
H264 = [name for name, (codec, _, _) in _STREAMS.items() if codec == "h264"]
HEVC = [name for name, (codec, _, _) in _STREAMS.items() if codec == "hevc"]
AT_ONCE = [name for name, (_, options, _) in _STREAMS.items() if options]


def codec_of(name: str) -> Codec:
    return _STREAMS[name][0]


@cache
def encoded(name: str, *, width: int = WIDTH, more: str = "") -> tuple[bytes, ...]:
    """Return the units of a stream: 40 frames in four groups."""
    codec, options, parameters = _STREAMS[name]
    vendor = "x264" if codec == "h264" else "x265"
    quiet = "" if codec == "h264" else "log-level=none:pools=none:frame-threads=1"
    groups = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0"
    given = ":".join(part for part in (quiet, groups, parameters, more) if part)
    encoder = av.CodecContext.create(f"lib{vendor}", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.thread_count = 1
    encoder.options = options | {f"{vendor}-params": given}
    packets = [packet for frame in _frames(width) for packet in encoder.encode(frame)]
    return tuple(bytes(packet) for packet in [*packets, *encoder.encode(None)])


@cache
def right(name: str) -> dict[int, str]:
    """Return the digest of each unit's picture, as libav decodes the undamaged stream."""
    decoder = av.VideoCodecContext.create(codec_of(name), "r")
    decoder.thread_count = 1
    frames = list[av.VideoFrame]()
    for number, unit in enumerate(encoded(name)):
        packet = av.Packet(unit)
        packet.pts = packet.dts = number
        frames += decoder.decode(packet)
    return {frame.pts or 0: digest(frame) for frame in [*frames, *decoder.decode(None)]}


def stored(name: str) -> list[tuple[int, bytes]]:
    """Return the numbered units of a file in `streams`."""
    content, units = (STORED / f"{name}.h264.au").read_bytes(), list[tuple[int, bytes]]()
    while content:
        end = 4 + int.from_bytes(content[:4])
        units.append((len(units), content[4:end]))
        content = content[end:]
    return units


def numbered(name: str) -> list[tuple[int, bytes]]:
    return list(enumerate(encoded(name)))


def digest(frame: av.VideoFrame) -> str:
    """Return a hash of a picture's planes."""
    return hashlib.sha1(frame.to_ndarray().tobytes()).hexdigest()  # noqa: S324 - no secret


def followed(name: str, units: Units) -> list[Outcome]:
    """Decode by `UnitDecoder`; each picture's pts is the number of its unit."""
    codec = codec_of(name)
    decoder = UnitDecoder(codec, av.VideoCodecContext.create(codec, "r"))
    outcomes = [one for n, unit in units for one in decoder.feed(TimedUnit(unit, pts=n))]
    return [*outcomes, *decoder.end()]


def shown(outcomes: Iterable[Outcome]) -> list[tuple[int, str]]:
    """Return the unit's number and the digest of each picture."""
    frames = [one.picture for one in outcomes if isinstance(one, Decoded)]
    return [(-1 if frame.pts is None else frame.pts, digest(frame)) for frame in frames]


def wrong(name: str, outcomes: Iterable[Outcome]) -> list[int]:
    """Return the numbers of the units whose pictures are not those of the undamaged stream."""
    return [number for number, found in shown(outcomes) if right(name).get(number) != found]


def fates(outcomes: Iterable[Outcome]) -> str:
    """Return runs of fates: `5 picture, 1 broken, 4 unkeyed`."""
    return ", ".join(f"{len(list(run))} {fate}" for fate, run in groupby(map(_fate, outcomes)))


def _fate(outcome: Outcome) -> str:
    if isinstance(outcome, Decoded):
        return "picture"
    return "unkeyed" if isinstance(outcome, Unkeyed) else "broken"


def _frames(width: int) -> Iterable[av.VideoFrame]:
    """Yield pictures of a moving texture with noise, so that every loss is visible."""
    rng = np.random.default_rng(3)
    hills = np.cumsum(np.cumsum(rng.random((2 * HEIGHT, 2 * width)) - 0.5, 0), 1)
    hills = 255 * (hills - hills.min()) / (hills.max() - hills.min())
    for n in range(FRAMES):
        window = np.roll(hills, (2 * n, 3 * n), (0, 1))[:HEIGHT, :width]
        luma = (window + rng.normal(0, 4, window.shape)).clip(0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
        frame.pts = n
        yield frame
