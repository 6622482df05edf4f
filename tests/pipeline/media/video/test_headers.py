"""Headers of H.264 and H.265: right fields, and one error for whatever cannot be read."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.headers.annexb import START, Framing, nals
from pipeline.media.video.headers.bits import Bits
from pipeline.media.video.headers.h264_headers import SPS, read_sps
from pipeline.media.video.headers.h264_unit import H264Sets, H264Unit
from pipeline.media.video.headers.h265_headers import read_sps as read_h265_sps
from pipeline.media.video.headers.h265_unit import H265Sets, H265Unit
from tests.pipeline.media.video.encoding import HEIGHT, WIDTH, encoded


def sps_of(unit: bytes) -> bytes:
    return next(unit[a:b] for a, b in nals(unit) if unit[a] & 31 == SPS)


def h265_sps_of(unit: bytes) -> bytes:
    return next(unit[a:b] for a, b in nals(unit) if unit[a] >> 1 == 33)


def test_bits_are_read_first_bit_first() -> None:
    bits = Bits(int("1010001100010110", 2).to_bytes(2))
    assert [bits.u(1), bits.ue(), bits.ue(), bits.se(), bits.ue()] == [1, 1, 5, -2, 0]


def test_emulation_prevention_is_removed() -> None:
    assert Bits(b"\x00\x00\x03\x01").u(24) == 1


@pytest.mark.parametrize("read", [lambda b: b.u(9), lambda b: b.ue(), lambda b: b.se()])
def test_reading_beyond_the_end_is_an_error(read: Callable[[Bits], int]) -> None:
    with pytest.raises(UndecodableFrameError, match="cut off"):
        read(Bits(b"\x00"))


def test_a_code_that_is_too_long_is_an_error() -> None:
    with pytest.raises(UndecodableFrameError, match="too long"):
        Bits(bytes(100)).ue()


@pytest.mark.parametrize(
    ("name", "frames_only", "reorder"),
    [("cabac", True, 0), ("cavlc", True, 0), ("reordered", True, 2), ("mbaff", False, 0),
     ("messages", True, 0)],
)  # fmt: skip
def test_an_sps_is_read_to_its_end(name: str, frames_only: bool, reorder: int) -> None:  # noqa: FBT001
    sequence = read_sps(sps_of(encoded(name)[0]))
    assert (sequence.width, sequence.height) == (WIDTH, HEIGHT)
    assert (sequence.frames_only, sequence.reorder_frames) == (frames_only, reorder)
    assert not sequence.gaps_allowed


def test_an_sps_whose_vui_is_cut_off_says_nothing_of_reordering() -> None:
    whole = sps_of(encoded("reordered")[0])
    sequence = read_sps(whole[:-3])
    assert sequence.reorder_frames is None
    assert sequence.width == WIDTH


def test_an_h265_sps_is_read() -> None:
    sequence = read_h265_sps(h265_sps_of(encoded("hevc reordered")[0]))
    assert (sequence.width, sequence.height, sequence.reorder_pictures) == (WIDTH, HEIGHT, 2)


def test_frame_nums_go_up_by_one_after_each_reference_frame() -> None:
    sets, numbers = H264Sets(), list[int]()
    for content in encoded("cabac")[:10]:
        unit = H264Unit.of(content)
        sets.take(unit)
        numbers.append(sets.pictures(unit)[0][0].frame_num)
    assert numbers == list(range(10))


@pytest.mark.parametrize("name", ["cabac", "reordered", "messages", "hevc", "hevc checksums"])
def test_random_bytes_in_headers_raise_one_error_or_none(name: str) -> None:
    rng = Random(name)  # noqa: S311 - reproducible on purpose
    first = encoded(name)[0]
    for _ in range(400):
        damaged = bytearray(first)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(min(len(damaged), 200))] = rng.randrange(256)
        with suppress(UndecodableFrameError):
            read(bytes(damaged[: rng.randrange(1, len(damaged))]), hevc="hevc" in name)


def read(content: bytes, *, hevc: bool) -> None:
    if hevc:
        H265Sets().take(H265Unit.of(content))
        return
    unit, sets = H264Unit.of(content), H264Sets()
    sets.take(unit)
    sets.pictures(unit)
    assert unit.recovery_frames is None or unit.recovery_frames >= 0


def lengths(unit: bytes, size: int) -> bytes:
    found = [unit[begin:end].rstrip(b"\0") for begin, end in nals(unit)]
    return b"".join(len(nal).to_bytes(size) + nal for nal in found)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_length_prefixes_become_start_codes(size: int) -> None:
    unit = b"".join(START + nal for nal in (b"\x65" + bytes(range(200)), b"\x65abc"))
    framing = Framing(size, b"")
    assert framing.annexb(lengths(unit, size)) == unit
    for cut in range(1, 4):
        with pytest.raises(UndecodableFrameError, match="cut off"):
            framing.annexb(lengths(unit, size)[:-cut])


def test_the_parameter_sets_of_an_mp4_are_found() -> None:
    sps, pps = b"\x67\x42\x00\x0a\xaa", b"\x68\xce"
    box = bytes([1, 0x42, 0, 10, 0xFF, 0xE1, 0, len(sps)]) + sps + bytes([1, 0, len(pps)]) + pps
    assert Framing.of("h264", box) == Framing(4, START + sps + START + pps)
    for cut in range(1, len(box)):
        with pytest.raises(UndecodableFrameError):
            Framing.of("h264", box[:cut])


def test_parameter_sets_are_put_before_a_packet_in_its_own_form() -> None:
    sets = START + b"\x67abc" + START + b"\x68d"
    assert Framing(0, b"").with_sets(b"\x00\x00\x01e", sets) == sets + b"\x00\x00\x01e"
    assert Framing(2, b"").with_sets(b"\0\1e", sets) == b"\0\4\x67abc\0\2\x68d\0\1e"


def test_parameter_sets_that_are_repeated_before_each_of_many_slices_are_one() -> None:
    unit = encoded("cavlc")[0]
    found = [unit[a:b] for a, b in nals(unit)]
    sets = b"".join(START + nal for nal in found if nal[0] & 31 in (7, 8))
    picture = b"".join(START + nal for nal in found if nal[0] & 31 == 5)
    repeated = H264Unit.of(sets * 100 + picture)
    assert (len(repeated.sps), len(repeated.pps)) == (1, 1)


def test_of_parameter_sets_that_come_again_the_last_counts() -> None:
    first, other = b"\x42\x01\x01", b"\x42\x01\x02"
    unit = H265Unit.parts(b"".join(START + nal for nal in (first, other, first)))
    assert unit.sets == (other, first)
