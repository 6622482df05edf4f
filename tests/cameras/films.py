"""Streams of H.264 and H.265 whose pictures have numbers, and the right pixels of each picture."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

import av
import numpy as np

from tests.cameras.blocks import ROWS, Mark, draw, read

Codec = Literal["h264", "hevc"]  # the names of libav
Slices = Literal["1", "3", "auto", "by size"]
Order = Literal["as shown", "reordered", "open groups"]

FPS = 4
SIZE, OTHER_SIZE = (160, 128), (192, 160)
TAIL = 40  # pictures after the last one that counts: viewers need some to know those before
MARKED_ROWS = 5  # of `blocks.ROWS`: the others get a texture, so that no loss stays invisible
SLICE_BYTES = 250
START = b"\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Film:
    """One stream: some groups of `group` pictures that count, and then `TAIL` pictures.

    `slices`: per picture; `auto` is what x264 does for low delay (one per thread), `by size` makes
    none larger than `SLICE_BYTES`. `order`: that of decoding; in open groups some pictures come
    after the keyframe and are shown before it. `resized`: after the first half of the groups.
    """

    codec: Codec
    slices: Slices = "1"
    group: int = 4
    groups: int = 2
    order: Order = "as shown"
    checksums: bool = False  # an MD5 of each picture (H.265)
    cabac: bool = False  # arithmetic coding (H.265 has no other)
    resized: bool = False

    @property
    def last_key(self) -> int:
        """The number of the first keyframe of the tail. All pictures up to it count."""
        return self.group * self.groups


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit. `sets` are the parameter sets of its part of the film; `nals` has none.

    NAL units are without start codes. `step` is the presentation time in pictures.
    """

    nals: tuple[bytes, ...]
    sets: tuple[bytes, ...]
    key: bool
    step: int


@cache
def units(film: Film) -> tuple[Unit, ...]:
    """Return the units of a film, in decoding order."""
    return tuple(unit for part in _parts(film) for unit in _encoded(film, *part))


def tail(film: Film) -> int:
    """Return the index of the unit with which the tail begins."""
    keys = [n for n, unit in enumerate(units(film)) if unit.key and unit.step == film.last_key]
    [index] = keys
    return index


@cache
def right(film: Film) -> dict[int, str]:
    """Return the digest of each picture by number, as libav decodes the undamaged stream."""
    contents = [
        b"".join(START + nal for nal in (*unit.sets * unit.key, *unit.nals)) for unit in units(film)
    ]
    return decoded(film.codec, contents)


def decoded(codec: Codec, contents: Iterable[bytes], *, extradata: bytes = b"") -> dict[int, str]:
    """Decode undamaged units to the digest of each picture by number."""
    decoder = av.VideoCodecContext.create(codec, "r")
    decoder.thread_count = 1
    if extradata:
        decoder.extradata = extradata
    packets = [av.Packet(content) for content in contents]
    pictures = [picture for packet in packets for picture in decoder.decode(packet)]
    seen = [numbered(picture) for picture in [*pictures, *decoder.decode(None)]]
    found = {number: digest for number, digest in seen if number is not None}
    assert len(found) == len(packets), f"{len(packets)} units gave {len(found)} numbers"
    return found


def numbered(picture: av.VideoFrame) -> tuple[int | None, str]:
    """Return the number in a picture (None: unreadable), and the digest of its planes."""
    planes = picture.to_ndarray()
    digest = hashlib.sha1(planes.tobytes()).hexdigest()  # noqa: S324 - no secret
    try:
        return read(planes[: picture.height, : picture.width, None]).number, digest
    except ValueError:
        return None, digest


def nal_kind(codec: Codec, nal: bytes) -> int:
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def is_key_slice(codec: Codec, nal: bytes) -> bool:
    """Whether a NAL unit is a slice of an IDR picture (H.265: of an IRAP)."""
    kind = nal_kind(codec, nal)
    return kind == 5 if codec == "h264" else 16 <= kind < 22


def _parts(film: Film) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yield the parts with one size each: the first number, the one after the last, the size."""
    end = film.last_key + TAIL
    middle = film.group * (film.groups // 2) if film.resized else end
    yield 0, middle, SIZE
    if film.resized:
        yield middle, end, OTHER_SIZE


def _encoded(film: Film, begin: int, end: int, size: tuple[int, int]) -> Iterator[Unit]:
    encoder = _encoder(film, size)
    packets = [packet for frame in _frames(begin, end, size) for packet in encoder.encode(frame)]
    sets = tuple[bytes, ...]()
    for packet in [*packets, *encoder.encode(None)]:
        nals = bytes(packet).replace(b"\x00" + START, START).split(START)[1:]
        kinds = (7, 8) if film.codec == "h264" else (32, 33, 34)
        sets = tuple(nal for nal in nals if nal_kind(film.codec, nal) in kinds) or sets
        others = tuple(nal for nal in nals if nal_kind(film.codec, nal) not in kinds)
        yield Unit(others, sets, packet.is_keyframe, packet.pts or 0)


def _encoder(film: Film, size: tuple[int, int]) -> av.VideoCodecContext:
    vendor = "x264" if film.codec == "h264" else "x265"
    encoder = av.CodecContext.create(f"lib{vendor}", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    (encoder.width, encoder.height), encoder.pix_fmt = size, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.thread_count = 2 if film.slices == "auto" else 1
    b_frames = 0 if film.order == "as shown" else 2
    group = f"keyint={film.group}:min-keyint={film.group}:scenecut=0:bframes={b_frames}"
    given = [group, f"open-gop={int(film.order == 'open groups')}", "b-adapt=0", _slicing(film)]
    if film.codec == "hevc":
        quiet = "log-level=none:pools=2:frame-threads=1:ctu=16:rc-lookahead=4"
        given += [quiet, f"hash={int(film.checksums)}"]
    else:
        given.append(f"cabac={int(film.cabac)}:rc-lookahead={b_frames}:sync-lookahead=0")
    encoder.options = {"preset": "ultrafast", f"{vendor}-params": ":".join(given)}
    return encoder


def _slicing(film: Film) -> str:
    if film.slices == "by size":
        return f"slice-max-size={SLICE_BYTES}"
    return "sliced-threads=1" if film.slices == "auto" else f"slices={film.slices}"


def _frames(begin: int, end: int, size: tuple[int, int]) -> Iterator[av.VideoFrame]:
    width, height = size
    rng = np.random.default_rng(3)
    hills = np.cumsum(np.cumsum(rng.random((height, width)) - 0.5, 0), 1)
    hills = 60 + 130 * (hills - hills.min()) / (hills.max() - hills.min())
    top = MARKED_ROWS * height // ROWS
    for number in range(begin, end):
        luma = np.frombuffer(draw(Mark(number, 0), width, height), np.uint8).reshape(height, width)
        moved = np.roll(hills, (2 * number, 3 * number), (0, 1)) + rng.normal(0, 4, hills.shape)
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        planes[:top] = luma[:top]
        planes[top:height] = moved[top:].clip(0, 255)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        yield frame
