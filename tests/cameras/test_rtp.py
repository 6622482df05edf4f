"""Our own RTP sender sends what it was given, loses what it should, and numbers its pictures."""

import pytest

from tests.cameras.films import TAIL, Film, decoded, right, units
from tests.cameras.matrix.pairs import pairwise
from tests.cameras.rtp import Packing, payloads
from tests.cameras.rtp_server import Broadcast

NALS = [b"\x67" + bytes(range(20)), b"\x68" + bytes(4), b"\x65" + bytes(900), b"\x41\x99"]
HEVC_NALS = [b"\x40\x01" + bytes(20), b"\x42\x01" + bytes(4), b"\x26\x01" + bytes(900)]


def unpacked(payload: bytes, head: int) -> list[bytes]:
    """Return the NAL units of an aggregation packet with a header of `head` bytes."""
    found, rest = list[bytes](), payload[head:]
    while rest:
        length = int.from_bytes(rest[:2])
        found.append(rest[2 : 2 + length])
        rest = rest[2 + length :]
    return found


def test_h264_is_aggregated_and_fragmented_by_rfc_6184() -> None:
    first, *fragments, last = payloads("h264", NALS, Packing(300, joined=True))
    assert (first[0], unpacked(first, 1)) == (0x60 | 24, NALS[:2])
    assert [one[:2] for one in fragments] == [b"\x7c\x85", b"\x7c\x05", b"\x7c\x05", b"\x7c\x45"]
    assert b"\x65" + b"".join(one[2:] for one in fragments) == NALS[2]
    assert last == NALS[3]
    assert max(map(len, fragments)) == 300


def test_h265_is_aggregated_and_fragmented_by_rfc_7798() -> None:
    first, *fragments = payloads("hevc", HEVC_NALS, Packing(300, joined=True))
    assert (first[:2], unpacked(first, 2)) == (b"\x60\x01", HEVC_NALS[:2])
    heads = [b"\x62\x01\x93", b"\x62\x01\x13", b"\x62\x01\x13", b"\x62\x01\x53"]
    assert [one[:3] for one in fragments] == heads
    assert b"\x26\x01" + b"".join(one[3:] for one in fragments) == HEVC_NALS[2]


def test_loss_is_a_function_of_the_seed_and_spares_the_tail() -> None:
    film = Film("h264", group=40)
    whole, lossy = (list(Broadcast(film, loss=loss, seed=5).packets()) for loss in (0, 0.3))
    assert lossy == list(Broadcast(film, loss=0.3, seed=5).packets())
    assert 0.5 < sum(map(len, lossy)) / sum(map(len, whole)) < 0.95
    assert lossy[-TAIL:] == whole[-TAIL:]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_film_has_its_keyframes_sizes_and_numbers(codec: str) -> None:
    film = Film("hevc" if codec == "hevc" else "h264", "3", groups=4, resized=True)
    assert [unit.step for unit in units(film) if unit.key] == list(range(0, 56, 4))
    assert len({unit.sets for unit in units(film)}) == 2
    assert sorted(right(film)) == list(range(16 + TAIL))


def test_a_lost_slice_changes_the_digest_of_its_picture() -> None:
    film = Film("h264", "3", group=20)
    contents = [b"".join(b"\0\0\1" + nal for nal in (*u.sets, *u.nals)) for u in units(film)]
    cut = b"".join(b"\0\0\1" + nal for nal in units(film)[5].nals[:2])
    assert right(film) != decoded("h264", [*contents[:5], cut, *contents[6:]])


def test_pairwise_selects_few_combinations_with_all_pairs() -> None:
    every = [{"a": a, "b": b, "c": c} for a in range(3) for b in range(3) for c in range(3)]
    chosen = pairwise(every)
    assert len(chosen) <= 12
    assert {(one["a"], one["c"]) for one in chosen} == {(a, c) for a in range(3) for c in range(3)}
