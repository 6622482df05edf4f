"""Units that are taken out of a stream as they came can be stored, and decode to its pictures."""

from collections.abc import Sequence
from random import Random

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.outcomes import Decoded, StorableUnit, Unstorable
from pipeline.media.video.regrouping import Regrouper, TimedUnit
from pipeline.media.video.storable_chain import StorableChain, with_own_sets
from pipeline.media.video.strict_decoder import StrictDecoder
from pipeline.media.video.unit_decoder import UnitDecoder
from pipeline.wire.units import is_keyframe
from tests.pipeline.media.video.damage import drop, in_pieces, spoiled
from tests.pipeline.media.video.encoding import (
    Units,
    digest,
    encoded,
    numbered,
    right,
    stored,
)

STORABLE = ["cabac", "cavlc", "slices", "messages", "mbaff"]
Judged = list[tuple[StorableUnit | Unstorable, str]]  # of each picture; the picture's digest


def judged(units: Units, *, sets: bytes = b"", delay: int = 0) -> Judged:
    """Judge the units as `packet_decoders` does; each has its number as its time stamp.

    `delay`: how many pictures libav holds back, by what it has seen of the source before.
    """
    regrouper, chain = Regrouper("h264"), StorableChain()
    context = av.VideoCodecContext.create("h264", "r")
    context.reorder_depth = delay
    decoder = UnitDecoder("h264", context, sets=sets)
    timed = [one for n, unit in units for one in regrouper.add(TimedUnit(unit, pts=n))]
    found: Judged = []
    for unit in [*timed, *regrouper.end()]:
        outcomes = decoder.feed(unit)
        verdict = chain.judge(unit, outcomes, decoder.sets)
        found += [(verdict, digest(one.picture)) for one in outcomes if isinstance(one, Decoded)]
    return found


def decoded_again(units: Sequence[StorableUnit]) -> list[str]:
    """Return the digests of the pictures, as a reader of the log decodes the units."""
    reader = StrictDecoder("h264")
    outcomes = [reader.feed(unit.content) for unit in units]
    return [digest(one.picture) if isinstance(one, Decoded) else str(one) for one in outcomes]


def words(found: Judged) -> set[str]:
    return {one.words if isinstance(one, Unstorable) else "" for one, _ in found}


def without_sets(unit: bytes) -> tuple[bytes, bytes]:
    """Return a keyframe without its parameter sets, and the sets."""
    found = [unit[begin:end] for begin, end in nals(unit)]
    own = [START + nal for nal in found if nal[0] & 31 in (7, 8)]
    return b"".join(START + nal for nal in found if nal[0] & 31 not in (7, 8)), b"".join(own)


@pytest.mark.parametrize("name", STORABLE)
def test_units_are_stored_as_they_came_and_decode_to_the_same_pictures(name: str) -> None:
    found = judged(numbered(name))
    units = [one for one, _ in found if isinstance(one, StorableUnit)]
    assert [one.content for one in units] == list(encoded(name))
    assert [one.number for one in units] == [n % 10 for n in range(40)]
    assert decoded_again(units) == list(right(name).values())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("reordered", "its pictures may be reordered (max_num_reorder_frames 2)"),
        ("gradual refresh", "no whole keyframe is before it"),
    ],
)
def test_what_cannot_be_stored_says_why(name: str, why: str) -> None:
    found = judged(numbered(name)[1:] if name == "gradual refresh" else numbered(name))
    assert words(found) == {why}


@pytest.mark.parametrize("name", ["order_unsaid", "reordering_allowed"])
def test_units_of_pictures_that_come_in_another_order_end_a_chain_for_good(name: str) -> None:
    found = judged(stored(name))
    first = next(n for n, (one, _) in enumerate(found) if isinstance(one, Unstorable))
    assert first < 5
    assert all(isinstance(one, Unstorable) and one.lasts for one, _ in found[first:])


@pytest.mark.parametrize("every", [1, 10])  # all, or the keyframes alone
def test_units_whose_pictures_come_late_are_not_stored(every: int) -> None:
    found = judged(numbered("cabac")[::every], delay=1)
    assert words(found) == {"its units do not give their own pictures at once"}


def test_a_keyframe_gets_the_parameter_sets_that_are_beside_the_stream() -> None:
    bare, sets = without_sets(encoded("messages")[0])
    units = [(0, bare), *numbered("messages")[1:10]]
    found = [one for one, _ in judged(units, sets=sets) if isinstance(one, StorableUnit)]
    assert is_keyframe(found[0].content)
    assert found[0].content[4] & 31 == 9  # the delimiter stays in front
    assert decoded_again(found) == [right("messages")[n] for n in range(10)]


def test_a_later_keyframe_without_sets_gets_the_newest_of_the_stream() -> None:
    units = [(n, without_sets(unit)[0] if n == 10 else unit) for n, unit in numbered("cabac")]
    found = [one for one, _ in judged(units) if isinstance(one, StorableUnit)]
    assert [one.key for one in found] == [n % 10 == 0 for n in range(40)]
    assert decoded_again(found) == list(right("cabac").values())


def test_sets_between_the_slices_of_a_keyframe_are_left_out() -> None:
    (key, *others) = encoded("slices")[:10]
    pieces = [(0, piece) for piece in in_pieces(key)]
    found = judged([*pieces, *((n, unit) for n, unit in enumerate(others, 1))])
    units = [one for one, _ in found if isinstance(one, StorableUnit)]
    kinds = [units[0].content[begin] & 31 for begin, _ in nals(units[0].content)]
    assert kinds == [7, 8, 5, 5, 5]
    assert decoded_again(units) == [right("slices")[n] for n in range(10)]


def test_a_keyframe_with_all_it_needs_is_not_rewritten() -> None:
    unit = encoded("messages")[0]
    assert with_own_sets(unit, b"") is unit


def test_after_a_lost_unit_nothing_is_stored_until_the_next_keyframe() -> None:
    found = judged(drop(numbered("cabac"), 5))
    assert [one.number for one, _ in found if isinstance(one, StorableUnit)] == [
        *range(5),
        *([*range(10)] * 3),
    ]


@given(name=st.sampled_from(STORABLE), seed=st.integers(0, 2**32))
def test_whatever_happens_to_a_stream_a_reader_decodes_what_is_stored_to_the_same(
    name: str, seed: int
) -> None:
    found = judged(spoiled(numbered(name), Random(seed)))  # noqa: S311 - no secret
    kept = [(one, picture) for one, picture in found if isinstance(one, StorableUnit)]
    assert decoded_again([one for one, _ in kept]) == [picture for _, picture in kept]
