"""Codecs whose units are not checked: nothing builds on damage, and nothing begins in the middle.

A packet that is lost without a trace is not detected: see docs/cameras.md.
"""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from pipeline.media.video.outcomes import Decoded, Outcome
from pipeline.media.video.packet_decoders import packet_decoder
from tests.pipeline.media.video.encoding import digest, fates

FRAMES, GROUP = 30, 10
WIDTH, HEIGHT = 176, 144  # H.263 has no smaller size that suits
CODECS = {  # encoder -> the options that it needs
    "flv": {},
    "h263": {},
    "libvpx": {"deadline": "realtime", "lag-in-frames": "0"},
    "libvpx-vp9": {"deadline": "realtime", "lag-in-frames": "0"},
    "mpeg4": {},
    "mpeg2video": {},
}
LATE = GROUP // 2  # a packet in the middle of the first group


def film(encoder: str, kind: str, *, b_frames: int = 0) -> bytes:
    """Encode pictures of noise that moves, with a keyframe every ten."""
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (300, 400)).astype(np.uint8)
    with av.open(file, "w", format=kind) as out:
        stream = out.add_stream(encoder, rate=25, options=CODECS[encoder])
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GROUP, b_frames
        for n in range(FRAMES):
            luma = np.ascontiguousarray(noise[n : n + HEIGHT, 2 * n : 2 * n + WIDTH])
            frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def decoded(content: bytes, *, first: int = 0, spoiled: Sequence[int] = ()) -> list[Outcome]:
    """Decode the packets from the `first` on; those that are `spoiled` become rubbish."""
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        decoder, outcomes = packet_decoder(stream), list[Outcome]()
        for n, packet in enumerate(container.demux(stream)):
            if n in spoiled:
                rubbish = av.Packet(bytes(range(1, 60)))
                rubbish.stream, rubbish.pts, rubbish.dts = stream, packet.pts, packet.dts
                outcomes += decoder.feed(rubbish)
            elif n >= first:
                outcomes += decoder.feed(packet)
    return outcomes


def pictures(outcomes: Sequence[Outcome]) -> dict[int | None, str]:
    return {one.picture.pts: digest(one.picture) for one in outcomes if isinstance(one, Decoded)}


CONTAINERS = [
    ("flv", "flv"),
    ("h263", "mov"),
    ("libvpx", "matroska"),
    ("libvpx-vp9", "matroska"),
    ("mpeg4", "matroska"),
]


@pytest.mark.parametrize(("encoder", "kind"), CONTAINERS)
def test_what_begins_within_a_group_is_waited_for(encoder: str, kind: str) -> None:
    content = film(encoder, kind)
    late = decoded(content, first=LATE)
    assert fates(late).startswith(f"{GROUP - LATE} unkeyed, ")
    assert pictures(late).items() <= pictures(decoded(content)).items()


@pytest.mark.parametrize(("encoder", "kind"), CONTAINERS[2:])
def test_after_a_packet_that_does_not_decode_nothing_comes_until_the_next_keyframe(
    encoder: str, kind: str
) -> None:
    content = film(encoder, kind)
    found = decoded(content, spoiled=[GROUP + 4])
    assert fates(found) == "14 picture, 1 broken, 5 unkeyed, 10 picture"
    assert pictures(found).items() <= pictures(decoded(content)).items()


@pytest.mark.parametrize(
    ("encoder", "b_frames"), [("mpeg4", 0), ("mpeg2video", 0), ("mpeg2video", 2)]
)
def test_no_picture_is_wrong_after_a_lost_packet_of_a_transport_stream(
    encoder: str, b_frames: int
) -> None:
    content = film(encoder, "mpegts", b_frames=b_frames)
    right = pictures(decoded(content))
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    for lost in range(10, len(packets), len(packets) // 20):
        found = decoded(b"".join(packets[:lost] + packets[lost + 1 :]))
        assert pictures(found).items() <= right.items(), lost
    assert len(right) == FRAMES


@pytest.mark.parametrize(("encoder", "kind"), [*CONTAINERS, ("mpeg2video", "mpegts")])
def test_what_is_whole_is_shown_completely(encoder: str, kind: str) -> None:
    assert fates(decoded(film(encoder, kind))) == f"{FRAMES} picture"
