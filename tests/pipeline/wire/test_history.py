"""Which stretch of a partition is replayed, and its notes."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import CorruptStateError
from pipeline.records import Changelog, Outgoing, Record
from pipeline.wire.changelog import Manifest
from pipeline.wire.growths.growth import Growth, GrowthArrival
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.history import History, stretch
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips


def manifest(**facts: Any) -> Manifest:
    first = Manifest(100, 200, 7, "w", 3, "digest", 4, 0)
    return Manifest(**{name: getattr(first, name) for name in Manifest.__slots__} | facts)


def changelog(*outgoing: Outgoing, log_start: int = 0, log_end: int = 250) -> Changelog:
    records = {
        out.key or b"": Record(2, n, 0, out.key, out.value, out.headers)
        for n, out in enumerate(outgoing)
    }
    return Changelog(records, log_start, log_end)


def history(log_start: int = 0, log_end: int = 250) -> History:
    found = History.read(2, changelog(manifest().write(2), log_start=log_start, log_end=log_end))
    assert found is not None
    return found


def test_a_partition_that_began_with_a_growth_is_not_exact_and_its_source_is() -> None:
    growth = Growth(2, 4, 5_000, GrowthArrival(1, 0, 17, 6_000))
    left = MovedStream("a", 2, 150, 9, "9f3a1c02")
    written = (manifest(first_offset=0).write(2), growth.write(2), left.write(2))
    found = History.read(2, changelog(*written))
    assert found is not None
    assert (found.source, found.moved) == (0, (left,))
    chosen = stretch(found, first=None, last=None)
    assert not chosen.exact
    assert "streams that had moved from partition 0 with their memory" in chosen.notes[0]
    source = History.read(0, changelog(manifest().write(0), replace(growth, arrival=None).write(0)))
    assert source is not None
    assert stretch(source, first=None, last=None).exact


def test_a_partition_that_the_group_never_began_has_no_history() -> None:
    assert History.read(2, changelog()) is None


def test_skips_and_the_beginning_of_the_life_are_read() -> None:
    skips, life = Skips("a", ((101, 103),)), Life(2, 100, 4711, {0: 1})
    written = changelog(manifest(life=2).write(2), skips.write(2), life.write(2))
    found = History.read(2, written)
    assert found is not None
    assert (found.skips, found.published_from) == ((skips,), 4711)


def test_a_manifest_that_cannot_be_read_is_named_with_its_partition() -> None:
    broken = Changelog({b"m": Record(2, 0, 0, b"m", b"{}")}, 0, 0)
    with pytest.raises(CorruptStateError, match="the changelog of partition 2 cannot be read"):
        History.read(2, broken)


def test_all_that_the_group_finished_is_replayed_and_is_exact() -> None:
    chosen = stretch(history(), first=None, last=None)
    assert (chosen.start, chosen.end, chosen.exact, chosen.notes) == (100, 200, True, ())


def test_an_end_does_not_make_it_inexact() -> None:
    chosen = stretch(history(), first=None, last=150)
    assert (chosen.start, chosen.end, chosen.exact) == (100, 150, True)


@pytest.mark.parametrize("first", [50, 150])
def test_another_beginning_makes_it_inexact_and_says_so(first: int) -> None:
    chosen = stretch(history(), first=first, last=None)
    assert (chosen.start, chosen.end, chosen.exact) == (first, 200, False)
    assert f"the group began at offset 100, this begins at {first}" in chosen.notes[0]


def test_what_retention_deleted_is_left_out_and_told() -> None:
    chosen = stretch(history(log_start=130), first=None, last=None)
    assert (chosen.start, chosen.exact) == (130, False)
    assert "partition 2: the log no longer holds offsets 100 to 129" in chosen.notes[0]


def test_a_beginning_behind_the_end_is_an_empty_stretch() -> None:
    chosen = stretch(history(), first=240, last=None)
    assert chosen.start == chosen.end


def test_an_end_beyond_the_log_is_cut_and_told() -> None:
    chosen = stretch(history(), first=None, last=300)
    assert chosen.end == 250
    assert chosen.notes == ("partition 2: the log ends at offset 250, not 300",)
