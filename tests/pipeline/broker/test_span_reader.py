"""The loop that reads to an end, on a consumer whose polls the test scripts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import pytest
from kafka import KafkaConsumer, TopicPartition

from pipeline.broker.kafka.readers.span_reader import read_to
from pipeline.clock import ManualClock
from pipeline.connection import Connection
from pipeline.errors import RestoreStalledError
from pipeline.records import Record

HERE, THERE = TopicPartition("frames", 0), TopicPartition("frames", 1)
STALL_S = 10.0
TICK_S = 4.0  # the duration of each poll


@dataclass(frozen=True)
class RawRecord:
    """A record as the client returns it."""

    offset: int
    partition: int = 0
    timestamp: int = 1000
    key: bytes | None = b"a"
    value: bytes | None = b"x"
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass
class Scripted:
    """A fake of the vendor's consumer: each poll returns the next of `polls`, moves positions."""

    clock: ManualClock
    polls: Iterator[tuple[Sequence[RawRecord], Mapping[TopicPartition, int]]]
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    paused: set[TopicPartition] = field(default_factory=set)

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.positions = dict.fromkeys(places, 0)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.positions[place] = offset

    def pause(self, *places: TopicPartition) -> None:
        self.paused |= set(places)

    def position(self, place: TopicPartition) -> int:
        return self.positions[place]

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[RawRecord]]:
        self.clock.advance(TICK_S)
        records, moved = next(self.polls, ((), {}))
        self.positions |= moved
        found: dict[TopicPartition, list[RawRecord]] = {}
        for raw in records:
            found.setdefault(TopicPartition("frames", raw.partition), []).append(raw)
        return found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def reading(clock: ManualClock) -> Callable[..., Iterator[list[Record]]]:
    """Read spans of a consumer that returns the given records, poll by poll."""

    def read(
        spans: Mapping[TopicPartition, range], *polls: tuple[Sequence[RawRecord], Any]
    ) -> Iterator[list[Record]]:
        consumer = cast("KafkaConsumer", Scripted(clock, iter(polls)))
        connection = Connection("127.0.0.1:9092")
        return read_to(consumer, spans, connection=connection, stall_s=STALL_S, clock=clock)

    return read


Reading = Callable[..., Iterator[list[Record]]]


def offsets(batches: Iterator[list[Record]]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in chain.from_iterable(batches)]


def test_a_gap_at_the_end_is_passed_by_the_position_alone(reading: Reading) -> None:
    batches = reading(
        {HERE: range(3, 9)}, ([RawRecord(3), RawRecord(5)], {HERE: 6}), ([], {HERE: 9})
    )
    assert offsets(batches) == [(0, 3), (0, 5)]


def test_records_beyond_the_end_come_with_the_last_ones(reading: Reading) -> None:
    batches = reading(
        {HERE: range(2)},
        ([RawRecord(0), RawRecord(1), RawRecord(2)], {HERE: 3}),
        ([RawRecord(3)], {}),
    )
    assert offsets(batches) == [(0, 0), (0, 1), (0, 2)]


def test_each_partition_is_read_to_its_own_end(reading: Reading) -> None:
    batches = reading(
        {HERE: range(1), THERE: range(2)},
        ([RawRecord(0), RawRecord(0, partition=1)], {HERE: 1, THERE: 1}),
        ([RawRecord(1, partition=1)], {THERE: 2}),
    )
    assert offsets(batches) == [(0, 0), (1, 0), (1, 1)]


def test_an_empty_span_needs_no_poll(reading: Reading, clock: ManualClock) -> None:
    before_s = clock.monotonic()
    assert offsets(reading({HERE: range(0), THERE: range(7, 7)})) == []
    assert clock.monotonic() == before_s


def test_a_position_that_stands_still_is_a_stall_that_is_named(reading: Reading) -> None:
    batches = reading({HERE: range(9), THERE: range(4)}, ([RawRecord(0)], {HERE: 1, THERE: 4}))
    with pytest.raises(RestoreStalledError, match="10 s of frames partition 0 at offset 1 of 9:"):
        offsets(batches)


def test_slow_progress_is_no_stall(reading: Reading) -> None:
    polls = [
        ([RawRecord(n)], {HERE: n + 1}) if n % 2 == 0 else ([], {HERE: n + 1}) for n in range(20)
    ]
    assert len(offsets(reading({HERE: range(20)}, *polls))) == 10


def test_the_time_that_the_caller_takes_is_no_stall(reading: Reading, clock: ManualClock) -> None:
    batches = reading(
        {HERE: range(2)}, ([RawRecord(0)], {HERE: 1}), ([], {}), ([RawRecord(1)], {HERE: 2})
    )
    next(batches)
    clock.advance(100 * STALL_S)
    assert offsets(batches) == [(0, 1)]


def test_what_others_may_write_becomes_a_value_of_ours(reading: Reading) -> None:
    raw = RawRecord(0, timestamp=-1, key=None, value=None, headers=[("empty", None)])
    ((record,),) = reading({HERE: range(1)}, ([raw], {HERE: 1}))
    assert record == Record(0, 0, 0, None, None, (("empty", b""),))
