"""Reads partitions of a topic to an end, without a group. The only loop that does."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from pipeline.broker.kafka.vendor.border import ENDS_MS, as_record, translated
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.errors import RestoreStalledError
from pipeline.records import Record

POLL_MS = 50
POLL_RECORDS = 5000
FETCH_MS = 10  # at the end of a log there is nothing to wait for, and streams stand still


def read_to(
    consumer: KafkaConsumer, spans: Mapping[TopicPartition, range], *, stall_s: float, clock: Clock
) -> Iterator[list[Record]]:
    """Read the committed records of `spans`, offsets by partition, each partition in order.

    `consumer` is assigned to them and starts where they start. Offsets may have gaps (markers,
    aborted records, compaction), so a partition is read once the consumer's position has reached
    the end of its span. Records beyond the end are returned too if the same poll brought them: a
    transaction that was being written when the end was looked up is not cut in two.

    Raises `RestoreStalledError` when no position moves for `stall_s`, or retention has deleted
    what is to be read.
    """
    consumer.assign(list(spans))
    for place, span in spans.items():
        consumer.seek(place, span.start)
    positions = {place: span.start for place, span in spans.items()}
    waiting = _unread(consumer, positions, spans)
    progress_s = clock.monotonic()
    while waiting:
        batches, reached = _poll(consumer, waiting)
        for batch in batches.values():
            yield [as_record(raw) for raw in batch]
        if any(reached[place] > positions[place] for place in waiting):
            progress_s = clock.monotonic()  # after the yield: the caller's time is no stall
        elif clock.monotonic() - progress_s > stall_s:
            raise RestoreStalledError(_stalled(waiting, spans, stall_s))
        waiting = _unread(consumer, positions | reached, spans)
        positions |= reached
    consumer.assign([])


def _poll(
    consumer: KafkaConsumer, waiting: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, list[Any]], dict[TopicPartition, int]]:
    """Return what has arrived, and the positions after it: past markers and aborted records."""
    with translated(f"reading {_named(waiting)}"):
        try:
            batches = consumer.poll(POLL_MS, max_records=POLL_RECORDS)
        except OffsetOutOfRangeError as exc:
            gone = ", ".join(
                f"{place.topic} partition {place.partition} no longer holds offset {offset}"
                for place, offset in exc.args[0].items()
            )
            raise RestoreStalledError(
                f"{gone}: retention has deleted it while we read. Start again, or keep it longer"
                " (the topic's retention.ms)"
            ) from exc
        reached = {place: consumer.position(place) or known for place, known in waiting.items()}
    return batches, reached


def _unread(
    consumer: KafkaConsumer,
    positions: Mapping[TopicPartition, int],
    spans: Mapping[TopicPartition, range],
) -> dict[TopicPartition, int]:
    """Return the positions short of their end, and read the other partitions no further."""
    consumer.pause(
        *(place for place, position in positions.items() if position >= spans[place].stop)
    )
    return {
        place: position for place, position in positions.items() if position < spans[place].stop
    }


def _stalled(
    waiting: Mapping[TopicPartition, int],
    spans: Mapping[TopicPartition, range],
    stall_s: float,
) -> str:
    places = ", ".join(
        f"{place.topic} partition {place.partition} at offset {position} of {spans[place].stop}"
        for place, position in sorted(waiting.items())
    )
    return (
        f"nothing arrives for {stall_s:.0f} s of {places}: a transaction is left open there, or"
        " the broker does not serve it; try again"
    )


def _named(places: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{place.topic} partition {place.partition}" for place in sorted(places))


class SpanReader:
    """Looks up which offsets topics hold, and reads them: for restore, audit, replay and reset.

    Waits for a transaction that is open at the end of the log, `stall_s` at most, which must be
    above the transaction timeout of any worker. One thread, and one `read` at a time.
    """

    def __init__(self, connection: Connection, *, stall_s: float, clock: Clock) -> None:
        self._stall_s = stall_s
        self._clock = clock
        with translated("opening a reader"):
            self._records = open_consumer(
                connection, auto_offset_reset="none", fetch_max_wait_ms=FETCH_MS
            )
            self._ends = open_consumer(  # sees the end of the log, open transactions included
                connection, isolation_level="read_uncommitted"
            )

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions; none where there is no such topic."""
        with translated(f"looking topic {topic} up"):
            return sorted(self._ends.partitions_for_topic(topic) or ())

    def spans(self, topic: str, partitions: Iterable[int]) -> dict[int, range]:
        """Return the offsets that the log holds now, open transactions included, by partition."""
        places = [TopicPartition(topic, number) for number in partitions]
        with translated(f"looking up the ends of {_named(places)}"):
            starts = self._ends.beginning_offsets(places, timeout_ms=ENDS_MS)
            ends = self._ends.end_offsets(places, timeout_ms=ENDS_MS)
        return {place.partition: range(starts[place], ends[place]) for place in places}

    def readable_ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the ends of what can be read now: committed, or before any open transaction."""
        places = [TopicPartition(topic, number) for number in partitions]
        with translated(f"looking up the ends of {_named(places)}"):
            ends = self._records.end_offsets(places, timeout_ms=ENDS_MS)
        return {place.partition: ends[place] for place in places}

    def read(self, topic: str, spans: Mapping[int, range]) -> Iterator[list[Record]]:
        """Read spans of a topic: see `read_to`."""
        places = {TopicPartition(topic, number): span for number, span in spans.items()}
        return read_to(self._records, places, stall_s=self._stall_s, clock=self._clock)

    def close(self) -> None:
        """Close the connections."""
        with translated("closing a reader"):
            self._records.close(timeout_ms=1000)
            self._ends.close(timeout_ms=1000)
