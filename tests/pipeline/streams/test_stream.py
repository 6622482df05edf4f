"""A stream's memory, and the engine rows of its tensors."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.table import StateTable
from pipeline.records import Admission, Frame, Reset
from pipeline.streams.admission import Rules, Verdict
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.wire.predictions import MemoryFacts
from pipeline.wire.snapshots import Snapshot

S = 1_000_000
P = 66_666
RULES = Rules.of(rate_hz=15, gap_reset_s=2, stream_ttl_s=600)
UNPACED = Rules.of(rate_hz=None, gap_reset_s=2, stream_ttl_s=600)
KNOWN = Admission(record_ms=1)


def frame(t: int) -> Frame:
    return Frame("cam-1", 0, 0, 0, t, captured_given=True, content=b"x")


def verdict(reset: Reset | None = None, note: str | None = None) -> Verdict:
    return Verdict(KNOWN, reset=reset, note=note)


def step(
    stream: Stream,
    t: int,
    reset: Reset | None = None,
    rules: Rules = RULES,
    chain: str = "0badcafe",
) -> MemoryFacts:
    facts = stream.begin(frame(t), verdict(reset), rules)
    stream.advance(frame(t), chain)
    return facts


def running(*times: int) -> Stream:
    stream = Stream("cam-1")
    for t in times:
        step(stream, t, Reset.NEW if t == times[0] else None)
    return stream


def test_a_new_streams_first_frame_is_told_so() -> None:
    assert step(Stream("cam-1"), S, Reset.NEW) == MemoryFacts(0, 0, None, Reset.NEW, None)


def test_memory_is_told_as_it_was_before_the_frame() -> None:
    stream = Stream("cam-1")
    facts = [step(stream, S + n * P, None if n else Reset.NEW) for n in range(4)]
    assert [f.frames for f in facts] == [0, 1, 2, 3]
    assert [f.age_us for f in facts] == [0, 0, P, 2 * P]
    assert [f.reset for f in facts] == [Reset.NEW, None, None, None]


@pytest.mark.parametrize(
    ("rules", "after", "gap"),
    [
        (RULES, 99_999, None),
        (RULES, 100_000, 100_000),
        (RULES, 2 * S, 2 * S),
        (UNPACED, 495_000, None),
        (UNPACED, 495_001, 495_001),
    ],
)
def test_a_step_above_one_and_a_half_periods_is_told(
    rules: Rules, after: int, gap: int | None
) -> None:
    assert step(running(S, S + P), S + P + after, rules=rules).gap_us == gap


def test_only_a_gap_longer_than_the_limit_starts_memory_afresh() -> None:
    assert step(running(S, S + P), 3 * S + P).reset is None
    after_gap = step(running(S, S + P), 3 * S + P + 1)
    assert after_gap == MemoryFacts(0, 0, 2 * S + 1, Reset.GAP, None)


def test_a_gap_is_measured_from_the_last_predicted_frame() -> None:
    stream = running(S, S + P)
    stream.begin(frame(2 * S), verdict(), RULES)  # not finite: never advanced
    assert step(stream, 3 * S + P + 1).reset is Reset.GAP


def test_time_going_backwards_keeps_memory_and_adds_no_age() -> None:
    stream = running(10 * S, 10 * S + P)
    back = step(stream, 5 * S)
    forth = step(stream, 5 * S + P)
    assert (back.reset, back.gap_us, back.frames) == (None, None, 2)
    assert (forth.reset, forth.frames, forth.age_us) == (None, 3, P)
    assert stream.age_us == 2 * P


def test_a_note_is_handed_on() -> None:
    stream = running(S)
    assert stream.begin(frame(S), verdict(note="clock"), RULES).note == "clock"


@pytest.mark.parametrize("reset", [Reset.EPOCH, Reset.NONFINITE, Reset.BUNDLE])
def test_a_reset_of_the_models_memory_keeps_the_chain_and_the_gap(reset: Reset) -> None:
    stream = running(S, S + P)
    stream.require_reset(reset)
    facts = stream.begin(frame(2 * S), verdict(), RULES)
    assert facts == MemoryFacts(0, 0, S - P, reset, None)
    assert stream.chain == "0badcafe"


@pytest.mark.parametrize("reset", [Reset.NEW, Reset.ENDED])
def test_a_stream_that_is_new_again_has_no_chain_and_no_gap(reset: Reset) -> None:
    stream = running(S, S + P)
    facts = stream.begin(frame(99 * S), verdict(reset), RULES)
    assert facts == MemoryFacts(0, 0, None, reset, None)
    assert stream.chain == "00000000"


def test_a_reset_is_told_once() -> None:
    stream = running(S)
    stream.require_reset(Reset.EPOCH)
    resets = [step(stream, S + n * P).reset for n in (1, 2)]
    assert resets == [Reset.EPOCH, None]
    assert stream.pending_reset is None


def test_a_reset_waits_for_the_next_frame_that_is_predicted() -> None:
    stream = running(S, S + P)
    stream.begin(frame(2 * S), verdict(Reset.EPOCH), RULES)  # not finite
    stream.require_reset(Reset.NONFINITE)
    facts = step(stream, 2 * S + P)
    assert facts == MemoryFacts(0, 0, S, Reset.NONFINITE, None)
    assert step(stream, 2 * S + 2 * P).age_us == 0


@pytest.mark.parametrize("first", [Reset.NEW, Reset.ENDED])
@pytest.mark.parametrize("later", [Reset.EPOCH, Reset.GAP, Reset.NONFINITE, Reset.BUNDLE])
def test_that_a_stream_is_new_stays_said(first: Reset, later: Reset) -> None:
    stream = running(S)
    stream.require_reset(first)
    stream.require_reset(later)
    assert stream.pending_reset is first


@pytest.mark.parametrize("first", [None, *Reset])
@pytest.mark.parametrize("later", [Reset.NEW, Reset.ENDED])
def test_that_a_stream_is_new_outranks_everything(first: Reset | None, later: Reset) -> None:
    stream = running(S)
    if first is not None:
        stream.require_reset(first)
    stream.require_reset(later)
    assert stream.pending_reset is later


OWED = st.lists(st.none() | st.sampled_from(Reset), max_size=20)


@given(OWED, st.lists(st.integers(0, 20 * S), min_size=20, max_size=20))
def test_zeros_stand_only_where_a_stream_is_new(owed: list[Reset | None], times: list[int]) -> None:
    stream, told = Stream("cam-1"), []
    for number, (t, reset) in enumerate(zip(times, [Reset.NEW, *owed], strict=False)):
        facts = stream.begin(frame(t), verdict(reset), RULES)
        assert (stream.chain == "00000000") == (facts.reset in (Reset.NEW, Reset.ENDED))
        assert (facts.frames == 0) == (facts.reset is not None)
        stream.advance(frame(t), f"{number + 1:08x}")
        told.append(facts)
    for before, after in pairwise(told):
        assert after.frames in (0, before.frames + 1)
        assert after.reset is None or after.age_us == 0


@given(OWED, st.integers(0, 20))
def test_a_stream_that_was_restored_goes_on_as_if_nothing_had_happened(
    owed: list[Reset | None], cut: int
) -> None:
    whole, cut_stream = Stream("cam-1"), Stream("cam-1")
    for number, reset in enumerate([Reset.NEW, *owed]):
        t = S + number * number * P
        assert step(whole, t, reset) == step(cut_stream, t, reset)
        if number == cut:
            cut_stream = Stream.restore(snapshot_of(cut_stream))


def snapshot_of(stream: Stream) -> Snapshot:
    return Snapshot(
        stream=stream.name,
        bundle="b",
        offset=7,
        admission=replace(KNOWN, seen_us=5),
        stepped_us=stream.stepped_us,
        age_us=stream.age_us,
        frames=stream.frames,
        chain=stream.chain,
        pending_reset=stream.pending_reset,
        tensors={},
    )


def test_a_restored_stream_is_idle_and_has_no_row_yet() -> None:
    stream = Stream.restore(snapshot_of(running(S)))
    assert (stream.idle, stream.row, stream.offset) == (True, None, 7)
    assert stream.head == stream.admission == replace(KNOWN, seen_us=5)


def test_a_stream_is_idle_once_every_record_that_has_arrived_is_finished() -> None:
    stream, first, second = Stream("cam-1"), verdict(), Verdict(replace(KNOWN, record_ms=2))
    stream.head = second.admission
    stream.settle(first, 1)
    assert not stream.idle
    stream.settle(second, 2)
    assert stream.idle
    assert stream.offset == 2


# ------------------------------------------------------------------------------------------- rows


def test_rows_in_use_are_distinct_and_in_the_table() -> None:
    table = StateTable([])
    rows = RowPool(table)
    taken = [rows.take() for _ in range(100)]
    assert len(set(taken)) == 100
    assert 0 <= min(taken) <= max(taken) < table.rows


def test_rows_that_a_table_already_has_are_used_first() -> None:
    table = StateTable([])
    table.reserve(5)
    rows = RowPool(table)
    assert {rows.take() for _ in range(5)} == set(range(5))
    assert table.rows == 5


def test_the_table_does_not_grow_while_rows_come_back() -> None:
    table = StateTable([])
    rows = RowPool(table)
    for _ in range(1_000):
        rows.give(rows.take())
    assert table.rows <= 16


@given(st.lists(st.booleans(), max_size=200))
def test_no_row_is_handed_out_twice(takes: list[bool]) -> None:
    rows, used = RowPool(StateTable([])), list[int]()
    for take in takes:
        if take or not used:
            row = rows.take()
            assert row not in used
            used.append(row)
        else:
            rows.give(used.pop(len(used) // 2))


def test_a_stream_is_warm_once_a_second_of_it_is_remembered() -> None:
    stream, warm = Stream("cam-1"), []
    for t in (0, 600_000, 1_000_000, 4_000_000):  # after the third a gap
        step(stream, t)
        warm.append(stream.is_warm(timed=True))
    assert warm == [False, False, True, False]


def test_a_stream_whose_next_frame_starts_afresh_is_cold() -> None:
    stream = Stream("cam-1")
    for t in (0, S, 2 * S):
        step(stream, t)
    stream.require_reset(Reset.EPOCH)
    assert not stream.is_warm(timed=True)


def test_a_label_has_held_until_another_takes_its_place() -> None:
    stream = Stream("cam-1")
    held = [
        stream.record_label(label, t * S, afresh=False) for t, label in enumerate((4, 4, 4, 1, 4))
    ]
    assert held == [None, None, None, 3 * S, S]


def test_where_memory_starts_afresh_nobody_knows_how_long_a_label_has_held() -> None:
    stream = Stream("cam-1")
    assert [stream.record_label(4, 0, afresh=True), stream.record_label(1, 9 * S, afresh=True)] == [
        None,
        None,
    ]
    assert stream.record_label(4, 11 * S, afresh=False) == 2 * S


def test_a_clock_that_goes_back_makes_no_label_hold_for_less_than_nothing() -> None:
    stream = Stream("cam-1")
    stream.record_label(4, 9 * S, afresh=False)
    assert stream.record_label(1, S, afresh=False) == 0
