"""A partition's ledger and streams: each offset counts once, streams stay until they expire."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import InputArray
from engines.table import StateTable
from pipeline.records import (
    BadRecord,
    Destination,
    EndOfStream,
    Fate,
    Frame,
    Outgoing,
    ParsedRecord,
    Record,
    Reset,
)
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.open_checkpoint import OpenCheckpoint
from pipeline.streams.partition import SKIPS_OF_A_RECORD, Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import Answer

TTL_MS = 600_000
ANSWER = Answer(b"{}", "00000000", 0, 0.5)
RULES = Rules.of(rate_hz=15, gap_reset_s=2, stream_ttl_s=TTL_MS / 1000)


def partition(first_offset: int = 0) -> Partition:
    return Partition(3, era=1, manifest=Manifest(first_offset, first_offset, 0, "w", 1, "b", 4, 0))


def frame(offset: int, ms: int = 0, stream: str = "cam-1", seq: int | None = None) -> Frame:
    return Frame(stream, 3, offset, ms, ms * 1000, captured_given=True, content=b"jpeg", seq=seq)


def finish(part: Partition, items: Sequence[Item]) -> None:
    """Set the fate of frames that were let through, and finish all records, like the predictor."""
    for item in items:
        assert part.take_ready() is item
        if item.fate is None:
            item.predict(ANSWER, Outgoing(Destination.PREDICTIONS, 3, b"", b""), held_us=None)
        if item.stream is not None and item.verdict is not None:
            item.stream.settle(item.verdict, item.record.offset)
    part.finish(items)


def work(part: Partition, *records: ParsedRecord) -> list[Item]:
    items = [item for record in records if (item := part.admit(record, RULES)) is not None]
    finish(part, items)
    return items


def balance(part: Partition) -> int:
    return part.first_offset + sum(part.fates.values()) + part.absent + part.expired


# ----------------------------------------------------------------------------------------- ledger

KINDS = st.sampled_from("fffebd")
GAPS = st.integers(0, 3)


def record_of(kind: str, offset: int, ms: int) -> ParsedRecord:
    if kind == "b":
        return BadRecord(Record(3, offset, ms, None, b""), "malformed", "no key")
    if kind == "e":
        return EndOfStream("cam-1", 3, offset, ms)
    return frame(offset, ms, seq=1 if kind == "d" else None)


@given(
    first=st.integers(0, 1_000),
    log=st.lists(st.tuples(KINDS, GAPS, st.integers(-1_000, 700_000)), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    expire=st.integers(0, 20),
)
def test_the_ledger_adds_up_at_every_moment(
    first: int, log: list[tuple[str, int, int]], cuts: list[int], expire: int
) -> None:
    part, offset, ms = partition(first), first, 1_000
    part.expire(first + expire)
    offset, waiting, count = first + expire, list[Item](), 0
    for number, (kind, gap, pause) in enumerate(log):
        offset, ms = offset + gap, max(0, ms + pause)
        item = part.admit(record_of(kind, offset, ms), RULES)
        assert item is not None
        waiting.append(item)
        offset += 1
        if number in cuts or number == len(log) - 1:
            finish(part, waiting)
            count, waiting = count + len(waiting), []
        assert balance(part) == part.next_offset
    assert (part.next_offset, sum(part.fates.values())) == (offset, count)
    assert part.expired == expire


def test_every_kind_of_record_has_its_fate() -> None:
    part = partition()
    bad = BadRecord(Record(3, 4, 0, None, b""), "malformed", "no key")
    work(part, frame(0, 100, seq=1), frame(1, 100, seq=1), frame(2, 110, seq=2))
    work(part, EndOfStream("cam-1", 3, 3, 0), bad)
    assert part.fates == Counter(
        {
            Fate.PREDICTED: 1,
            Fate.DUPLICATE: 1,
            Fate.SAMPLED: 1,
            Fate.ENDED: 1,
            Fate.DEAD_LETTERED: 1,
        }
    )


def test_offsets_without_a_record_are_absent_once_the_next_record_is_finished() -> None:
    part = partition(10)
    item = part.admit(frame(15), RULES)
    assert item is not None
    assert (part.absent, part.next_offset) == (0, 10)
    finish(part, [item])
    assert (part.absent, part.next_offset) == (5, 16)


def test_what_retention_deleted_is_expired_and_not_absent() -> None:
    part = partition(10)
    part.expire(15)
    assert (part.expired, part.absent, part.next_offset, part.dirty) == (5, 0, 15, True)
    work(part, frame(17))
    assert (part.expired, part.absent, part.next_offset) == (5, 2, 18)


def test_retention_behind_us_is_none_of_our_business() -> None:
    part = partition(10)
    part.expire(9)
    part.expire(10)
    assert (part.expired, part.next_offset) == (0, 10)


def test_a_record_that_is_read_again_is_ignored() -> None:
    part = partition(10)
    assert part.admit(frame(9), RULES) is None
    waiting = part.admit(frame(10), RULES)
    assert waiting is not None
    assert part.admit(frame(10), RULES) is None
    finish(part, [waiting])
    assert part.admit(frame(10), RULES) is None
    assert (balance(part), part.next_offset) == (11, 11)


def test_a_record_that_is_read_again_does_not_move_its_stream() -> None:
    part = partition()
    work(part, frame(0, 1_000), frame(1, 1_100))
    before = part.streams["cam-1"].head
    part.admit(frame(0, 1_000), RULES)
    part.admit(EndOfStream("cam-1", 3, 1, 0), RULES)
    assert part.streams["cam-1"].head is before


def test_a_record_without_a_fate_cannot_be_finished() -> None:
    part = partition()
    item = part.admit(frame(0), RULES)
    assert item is not None
    with pytest.raises(AssertionError, match="offset 0 has no fate"):
        part.finish([item])


def test_pending_bytes_are_those_of_unfinished_frames() -> None:
    part = partition()
    items = [part.admit(frame(n, n * 100), RULES) for n in range(3)]
    assert part.pending_bytes == 3 * len(b"jpeg")
    finish(part, [item for item in items if item is not None])
    assert part.pending_bytes == 0


def test_a_partition_goes_on_where_its_manifest_stands() -> None:
    fates = {Fate.PREDICTED: 3, Fate.SAMPLED: 2}
    manifest = Manifest(10, 18, 7, "w", 1, "b", 4, 5_000, fates, absent=2, expired=1, life=2)
    part = Partition(3, era=9, manifest=manifest)
    assert balance(part) == part.next_offset == part.close_checkpoint().start == 18
    assert (part.stream_time_ms, part.checkpoint, part.attempts, part.life) == (5_000, 7, 1, 2)


@pytest.mark.parametrize("number", [-1, 7])
def test_a_restored_partition_says_first_that_it_is_about_to_try(number: int) -> None:
    part = Partition(3, era=1, manifest=Manifest(10, 10, number, "", -1, "b", 4, 0))
    assert part.dirty
    assert part.close_checkpoint().attempts == 1
    assert (part.dirty, part.close_checkpoint().attempts) == (False, 0)


@pytest.mark.parametrize(("attempts", "suspected"), [(0, 0), (1, 0), (2, 15), (9, 15)])
def test_from_the_third_attempt_on_what_is_in_the_log_is_suspected(
    attempts: int, suspected: int
) -> None:
    manifest = Manifest(0, 10, 7, "w", 1, "b", 4, 0, absent=10, attempts=attempts)
    part = Partition(3, era=1, manifest=manifest)
    assert part.suspect(log_end=15) == (suspected > 0)
    assert part.suspects_end == (suspected or 10)


def test_stream_time_is_the_largest_record_timestamp() -> None:
    part = partition()
    work(part, frame(0, 5_000), frame(1, 4_000), frame(2, 6_000), frame(3, 1_000))
    assert part.stream_time_ms == 6_000


# --------------------------------------------------------------------------------------- eviction


def later(part: Partition, offset: int, ms: int) -> None:
    work(part, frame(offset, ms, stream="other"))


def test_a_silent_stream_is_forgotten_when_others_have_gone_on() -> None:
    part, rows = partition(), RowPool(StateTable([]))
    work(part, frame(0, 1_000))
    later(part, 1, 1_000 + TTL_MS)
    assert part.sweep(RULES, rows) == []
    later(part, 2, 1_000 + TTL_MS + TTL_MS // 5)
    assert part.sweep(RULES, rows) == ["cam-1"]
    assert set(part.streams) == {"other"}


def test_no_stream_is_forgotten_by_the_wall_clock() -> None:
    part = partition()
    work(part, frame(0, 1_000))
    assert part.sweep(RULES, RowPool(StateTable([]))) == []


def test_a_forgotten_streams_row_is_given_back_and_its_snapshot_is_not_written() -> None:
    part, rows = partition(), RowPool(StateTable([]))
    work(part, frame(0, 1_000))
    part.streams["cam-1"].take_row(rows)
    row = part.streams["cam-1"].row
    later(part, 1, 1_001 + 2 * TTL_MS)
    assert part.sweep(RULES, rows) == ["cam-1"]
    assert set(part.close_checkpoint().changed) == {"other"}
    assert rows.take() == row


def test_a_frame_that_is_on_its_way_while_its_stream_is_forgotten_begins_it_anew() -> None:
    part = partition()
    work(part, frame(0, 1_000))
    later(part, 1, 1_001 + 2 * TTL_MS)
    (item,) = waiting(part, frame(2, 1_002 + 2 * TTL_MS))
    assert part.sweep(RULES, RowPool(StateTable([]))) == ["cam-1"]
    finish(part, [item])
    assert (item.fate, reset_of(item)) == (Fate.PREDICTED, Reset.NEW)
    assert set(part.streams) == {"cam-1", "other"}


def test_an_ended_streams_marker_is_forgotten_too() -> None:
    part = partition()
    work(part, frame(0, 1_000), EndOfStream("cam-1", 3, 1, 1_000))
    later(part, 2, 1_001 + 2 * TTL_MS)
    assert part.sweep(RULES, RowPool(StateTable([]))) == ["cam-1"]


def reset_of(item: Item) -> Reset | None:
    assert item.verdict is not None
    return item.verdict.reset


@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.parametrize("others", [True, False])
@pytest.mark.parametrize("ended", [True, False])
def test_a_stream_that_returns_after_its_ttl_is_new(
    *, swept: bool, others: bool, ended: bool
) -> None:
    part = partition()
    work(part, EndOfStream("cam-1", 3, 0, 1_000) if ended else frame(0, 1_000, seq=7))
    if others:
        later(part, 1, 1_001 + 2 * TTL_MS)
    if swept:
        part.sweep(RULES, RowPool(StateTable([])))
    (item,) = work(part, frame(2, 1_001 + 2 * TTL_MS, seq=7))
    assert (item.fate, reset_of(item)) == (Fate.PREDICTED, Reset.NEW)


def test_a_stream_that_returns_within_its_ttl_goes_on() -> None:
    part = partition()
    work(part, frame(0, 1_000))
    (item,) = work(part, frame(1, 1_000 + TTL_MS))
    assert reset_of(item) is None


def test_a_late_timestamp_of_its_own_does_not_save_a_stream() -> None:
    part = partition()
    work(part, frame(0, 1_000))
    later(part, 1, 1_001 + TTL_MS)
    (item,) = work(part, frame(2, 1_000))
    assert reset_of(item) is Reset.NEW


SCRIPT = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("fffe"), st.integers(0, TTL_MS)), max_size=30
)


@given(SCRIPT, st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_sweeping_never_changes_what_becomes_of_a_record(
    script: list[tuple[str, str, int]], sweeps: set[int], others: set[int]
) -> None:
    swept, kept, ms = partition(), partition(), 0
    for offset, (stream, kind, pause) in enumerate(script):
        ms += pause
        one = EndOfStream(stream, 3, offset, ms) if kind == "e" else frame(offset, ms, stream)
        (here,), (there,) = work(swept, one), work(kept, one)
        assert (here.fate, here.verdict) == (there.fate, there.verdict)
        if offset in sweeps:
            swept.sweep(RULES, RowPool(StateTable([])))
        if offset in others:
            kept.sweep(RULES, RowPool(StateTable([])))


def test_a_released_partition_gives_all_rows_back() -> None:
    part, table = partition(), StateTable([])
    rows = RowPool(table)
    for offset in range(16):
        work(part, frame(offset, 1_000, stream=f"cam-{offset}"))
        part.streams[f"cam-{offset}"].take_row(rows)
    part.release(rows)
    assert len({rows.take() for _ in range(16)}) == table.rows == 16
    assert not part.streams


# --------------------------------------------------------------------------------------- overload


def waiting(part: Partition, *records: ParsedRecord) -> list[Item]:
    """Return a partition with waiting records, their frames decoded."""
    items = [item for record in records if (item := part.admit(record, RULES)) is not None]
    for item in items:
        if item.fate is None:
            pixels = Future[InputArray]()
            pixels.set_result(np.zeros((1, 1, 3), np.uint8))
            item.decode(pixels)
    return items


def test_of_each_streams_waiting_frames_only_the_newest_is_kept() -> None:
    part = partition()
    records = [frame(n, n * 100, f"cam-{n % 2}") for n in range(7)]
    work(part, *records[:2])
    items = waiting(part, *records[2:])
    part.keep_newest()
    assert [item.fate for item in items] == [Fate.SKIPPED] * 3 + [None] * 2
    assert [item.steps for item in items] == [False] * 3 + [True] * 2


def test_an_end_of_stream_is_never_skipped() -> None:
    part = partition()
    work(part, frame(0, 100))
    items = waiting(part, frame(1, 200), EndOfStream("cam-1", 3, 2, 300), frame(3, 400))
    part.keep_newest()
    assert [item.fate for item in items] == [Fate.SKIPPED, Fate.ENDED, None]


def test_skipped_frames_are_told_in_ranges_from_prediction_to_prediction() -> None:
    part = partition()
    items = waiting(part, *(frame(n, n * 100) for n in range(6)))
    for item, skipped in zip(items, (True, True, False, True, False, False), strict=True):
        if skipped:
            item.skip()
    finish(part, items)
    assert part.close_checkpoint().skipped[b"k:cam-1:0"].ranges == ((0, 1), (3, 3))


def test_a_range_of_skipped_frames_goes_on_in_the_next_checkpoint() -> None:
    part = partition()
    closed = part.close_checkpoint()
    for numbers in ((0, 1), (2, 3)):
        items = waiting(part, *(frame(n, n * 100) for n in numbers))
        for item in items:
            item.skip()
        finish(part, items)
        closed = part.close_checkpoint()
    assert closed.skipped[b"k:cam-1:0"].ranges == ((0, 3),)


def test_a_record_of_skips_does_not_grow_without_end() -> None:
    part = partition()
    keys: set[bytes] = set()
    for n in range(0, 400, 2):
        skipped, kept = waiting(part, frame(n, n * 100), frame(n + 1, n * 100 + 100))
        skipped.skip()
        finish(part, [skipped, kept])
        keys.update(part.close_checkpoint().skipped)
    assert keys == {b"k:cam-1:%d" % n for n in range(0, 400, 2 * SKIPS_OF_A_RECORD)}


# --------------------------------------------------------------------------------- checkpoints


def is_empty(one: OpenCheckpoint) -> bool:
    return not any((one.fates, one.outgoing, one.captured_us, one.changed, one.skipped))


def test_a_closed_checkpoint_holds_what_was_finished_and_the_next_one_begins_empty() -> None:
    part = partition(10)
    part.expire(12)
    work(part, frame(12, 100), frame(14, 200), EndOfStream("cam-1", 3, 15, 300))
    closed, opened = part.close_checkpoint(), part.close_checkpoint()
    assert (closed.start, closed.expired, opened.start, opened.expired) == (10, 2, 16, 0)
    assert closed.fates == {Fate.PREDICTED: 2, Fate.ENDED: 1}
    assert (closed.captured_us, set(closed.changed)) == ([100_000, 200_000], {"cam-1"})
    assert len(closed.outgoing) == 2
    assert is_empty(opened)


def test_a_checkpoint_does_not_change_once_it_is_closed() -> None:
    part = partition()
    closed = part.close_checkpoint()
    work(part, frame(0, 100))
    part.publish([Outgoing(Destination.STATE, 3, b"k:cam-1", None)])
    assert is_empty(closed)
    assert part.open_records == 2


def test_no_prediction_leaves_before_a_checkpoint_that_holds_older_ones_is_in_the_log() -> None:
    part = partition()
    part.close_checkpoint()  # with the attempt count
    part.settle(part.checkpoint)
    work(part, frame(0, 100))
    part.close_checkpoint()
    work(part, frame(1, 200))
    assert part.departures(()) == []
    part.settle(part.checkpoint)
    assert [departure.captured_us for departure in part.departures(())] == [200_000]


def test_only_the_first_checkpoint_in_the_log_opens_a_partition() -> None:
    part = partition()
    assert (part.opened, part.settle(0), part.opened, part.settle(1)) == (False, True, True, False)


def test_a_checkpoint_in_which_a_record_of_skips_gets_full_tells_all_its_ranges() -> None:
    part, offsets = partition(), range(0, 2 * SKIPS_OF_A_RECORD + 6, 2)
    for n in offsets:
        skipped, kept = waiting(part, frame(n, n * 100), frame(n + 1, n * 100 + 100))
        skipped.skip()
        finish(part, [skipped, kept])
    told = [span for skips in part.close_checkpoint().skipped.values() for span in skips.ranges]
    assert told == [(n, n) for n in offsets]
