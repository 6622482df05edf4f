"""Packets of containers: put together to units, and never the end of a source."""

import io
from collections.abc import Sequence
from pathlib import Path

import av
import pytest
from PIL import Image

from pipeline.media.video.first_slice import Codec, first_slice
from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.outcomes import Broken, Decoded, Outcome
from pipeline.media.video.packet_decoders import packet_decoder
from pipeline.media.video.regrouping import Regrouper, TimedUnit
from tests.pipeline.media.video.damage import in_pieces
from tests.pipeline.media.video.encoding import digest, encoded, followed, right, shown
from tests.pipeline.pictures import turn_video, write_video

TIMES_MS = [40 * n for n in range(30)]


def outcomes_of(path: Path) -> list[Outcome]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = packet_decoder(stream)
        return [one for packet in container.demux(stream) for one in decoder.feed(packet)]


def in_pieces_of_h265(unit: bytes, following: bytes) -> list[bytes]:
    """Split a keyframe of H.265: libav puts the unit that follows it into its last packet."""
    found = [unit[begin:end] for begin, end in nals(unit)]
    sets = b"".join(START + nal for nal in found if nal[0] >> 1 in (32, 33, 34))
    pieces = [sets + START + nal for nal in found if 16 <= nal[0] >> 1 < 22]
    return [pieces[0], b"".join(pieces[1:]) + following]


def regrouped(packets: Sequence[bytes], codec: Codec = "h264") -> list[TimedUnit]:
    regrouper = Regrouper(codec)
    units = [
        one for n, packet in enumerate(packets) for one in regrouper.add(TimedUnit(packet, pts=n))
    ]
    return [*units, *regrouper.end()]


def test_a_keyframe_that_comes_in_pieces_is_one_unit_and_its_picture_is_right() -> None:
    units = encoded("slices")[:20]
    packets = [p for n, u in enumerate(units) for p in (in_pieces(u) if n % 10 == 0 else [u])]
    found = regrouped(packets)
    assert [one.pts for one in found[:3]] == [0, 3, 4]  # of the first piece
    outcomes = followed("slices", [(n, one.content) for n, one in enumerate(found)])
    assert shown(outcomes) == [(n, right("slices")[n]) for n in range(20)]


def test_of_h265_a_packet_is_not_always_one_picture_either() -> None:
    units = encoded("hevc slices")
    keys = [in_pieces_of_h265(*units[n : n + 2]) for n in range(0, 40, 10)]
    packets = [p for n, key in enumerate(keys) for p in (*key, *units[10 * n + 2 : 10 * n + 10])]
    found = regrouped(packets, "hevc")
    assert [one.pts for one in found[:4]] == [0, None, 2, 3]
    outcomes = followed("hevc slices", [(n, one.content) for n, one in enumerate(found)])
    assert shown(outcomes) == list(right("hevc slices").items())


def test_what_ends_a_picture_stays_with_it_and_what_begins_one_goes_with_it() -> None:
    key, other, checksum, message = (
        b"\x00\x00\x01" + bytes.fromhex(head) for head in ("2601", "0201", "500184", "4e0100")
    )
    begun, rest = key + b"\x80", key + b"\x00" + checksum
    following = message + other + b"\x80" + other + b"\x00"
    units = regrouped([begun, rest + following], "hevc")
    assert [one.content for one in units] == [begun + rest, following]


def test_pieces_that_are_decoded_alone_show_smeared_pictures_without_a_flag() -> None:
    decoder = av.VideoCodecContext.create("h264", "r")
    first, *_ = in_pieces(encoded("slices")[0])
    (frame,) = [*decoder.decode(av.Packet(first)), *decoder.decode(None)]
    assert digest(frame) != right("slices")[0]
    assert not frame.is_corrupt


def test_only_keyframes_wait_for_the_packet_after_them() -> None:
    regrouper = Regrouper("h264")
    waits = [not list(regrouper.add(TimedUnit(unit))) for unit in encoded("cabac")[:12]]
    assert [n for n, one in enumerate(waits) if one] == [0, 10]


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x01", b"no start code", START, START + b"\x67"]
)
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_what_has_no_slice_has_no_first_slice(codec: Codec, content: bytes) -> None:
    assert first_slice(codec, content) is None


def test_the_first_slice_says_whether_a_unit_is_a_keyframe() -> None:
    found = [first_slice("h264", unit) for unit in encoded("messages")[:12]]
    assert [n for n, one in enumerate(found) if one is not None and one.key] == [0, 10]


def test_parameter_sets_in_a_packet_of_their_own_belong_to_the_next_unit() -> None:
    unit = encoded("cabac")[0]
    (begin, _) = nals(unit)[-1]
    found = regrouped([unit[: begin - 3], unit[begin - 3 :], encoded("cabac")[1]])
    assert [one.content for one in found] == [unit, encoded("cabac")[1]]
    assert found[0].pts == 1


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.flv", "clip.avi"])
def test_each_container_gives_the_pictures_that_libav_gives(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, TIMES_MS, muxer="mpegts" if name == "clip.ts" else None)
    with av.open(str(path)) as container:
        wanted = [(frame.pts, frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]
    frames = [one.picture for one in outcomes_of(path) if isinstance(one, Decoded)]
    assert [frame.to_ndarray().tobytes() for frame in frames] == [planes for _, planes in wanted]
    if name != "clip.avi":  # its packets have decoding times only
        assert [frame.pts for frame in frames] == [pts for pts, _ in wanted]


def broken_gif() -> bytes:
    """Return a GIF of four pictures. Of the third, libav says: operation not permitted."""
    pictures = [Image.new("L", (32, 32), 50 * n) for n in range(4)]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    content = bytearray(file.getvalue())
    starts = [n for n in range(len(content)) if content[n : n + 5] == b"\x2c\0\0\0\0"]
    palette = 3 * (2 << (content[starts[2] + 9] & 7))
    content[starts[2] + 10 + palette] = 13  # the size of its codes
    return bytes(content)


def test_a_packet_that_libav_rejects_with_any_code_does_not_end_the_source(tmp_path: Path) -> None:
    (tmp_path / "broken.gif").write_bytes(broken_gif())
    outcomes = outcomes_of(tmp_path / "broken.gif")
    assert [isinstance(one, Decoded) for one in outcomes] == [True, True, False, True]
    assert outcomes[2] == Broken("does not decode (PermissionError)")


def test_a_turned_film_is_turned_after_a_break_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", TIMES_MS, keyframe_every=10)
    turn_video(path, (0, 1, -1, 0))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = packet_decoder(stream)
        first, _, *others = container.demux(stream)
        outcomes = [one for packet in (first, *others) for one in decoder.feed(packet)]
    turns = [one.orientation for one in outcomes if isinstance(one, Decoded)]
    assert any(isinstance(one, Broken) for one in outcomes)
    assert len(turns) > 15
    assert set(turns) == {6}
