"""Reads partitions of a topic up to an end, without a group. The only such loop."""

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
FETCH_MS = 10  # short, because streams stand still during a restore and the end needs no wait


def read_to(
    consumer: KafkaConsumer,
    spans: Mapping[TopicPartition, range],
    *,
    connection: Connection,
    stall_s: float,
    clock: Clock,
) -> Iterator[list[Record]]:
    """Read the committed records of `spans`, offsets by partition, each partition in order.

    `consumer` is assigned to their partitions and starts at their starts. Offsets may have gaps
    (markers, aborted records, compaction), so a partition is finished when the consumer's position
    has reached the end of its span. Records beyond the end are returned too if the same poll
    returned them, so that a transaction being written when the end was looked up is not cut in two.

    Raises `RestoreStalledError` if no position moves for `stall_s`, or if retention deletes records
    of a span.
    """
    consumer.assign(list(spans))
    for place, span in spans.items():
        consumer.seek(place, span.start)
    positions = {place: span.start for place, span in spans.items()}
    waiting = _unread(consumer, positions, spans)
    progress_s = clock.monotonic()
    while waiting:
        batches, reached = _poll(consumer, waiting, connection)
        for batch in batches.values():
            yield [as_record(raw) for raw in batch]
        if any(reached[place] > positions[place] for place in waiting):
            progress_s = clock.monotonic()  # after the yield: the caller's time does not count
        elif clock.monotonic() - progress_s > stall_s:
            raise RestoreStalledError(_stalled(waiting, spans, stall_s))
        waiting = _unread(consumer, positions | reached, spans)
        positions |= reached
    consumer.assign([])


def _poll(
    consumer: KafkaConsumer, waiting: Mapping[TopicPartition, int], connection: Connection
) -> tuple[dict[TopicPartition, list[Any]], dict[TopicPartition, int]]:
    """Return the records that arrived, and the positions after them and after markers."""
    with translated(f"reading {_named(waiting)}", connection):
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
    """Return the positions below the end of their span, and pause the other partitions."""
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
    """Looks up the offsets that topics hold, and reads them: for restore, audit, replay and reset.

    It waits at most `stall_s` for a transaction that is open at the end of the log, so `stall_s`
    must be above the transaction timeout of any worker. One thread, and one `read` at a time.
    """

    def __init__(self, connection: Connection, *, stall_s: float, clock: Clock) -> None:
        self._connection, self._stall_s = connection, stall_s
        self._clock = clock
        with translated("opening a reader", connection):
            self._records = open_consumer(
                connection, auto_offset_reset="none", fetch_max_wait_ms=FETCH_MS
            )
            self._ends = open_consumer(  # returns the end of the log including open transactions
                connection, isolation_level="read_uncommitted"
            )

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions; an empty list if there is no such topic."""
        with translated(f"looking topic {topic} up", self._connection, needs="DESCRIBE"):
            return sorted(self._ends.partitions_for_topic(topic) or ())

    def spans(self, topic: str, partitions: Iterable[int]) -> dict[int, range]:
        """Return the offsets that the log holds now, by partition, including open transactions."""
        places = [TopicPartition(topic, number) for number in partitions]
        with translated(
            f"looking up the ends of {_named(places)}", self._connection, needs="DESCRIBE"
        ):
            starts = self._ends.beginning_offsets(places, timeout_ms=ENDS_MS)
            ends = self._ends.end_offsets(places, timeout_ms=ENDS_MS)
        return {place.partition: range(starts[place], ends[place]) for place in places}

    def readable_ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the ends of what can be read now: the first open transaction, or the log's end."""
        places = [TopicPartition(topic, number) for number in partitions]
        with translated(
            f"looking up the ends of {_named(places)}", self._connection, needs="DESCRIBE"
        ):
            ends = self._records.end_offsets(places, timeout_ms=ENDS_MS)
        return {place.partition: ends[place] for place in places}

    def read(self, topic: str, spans: Mapping[int, range]) -> Iterator[list[Record]]:
        """Read spans of a topic: see `read_to`."""
        places = {TopicPartition(topic, number): span for number, span in spans.items()}
        return read_to(
            self._records,
            places,
            connection=self._connection,
            stall_s=self._stall_s,
            clock=self._clock,
        )

    def close(self) -> None:
        """Close the connections."""
        with translated("closing a reader", self._connection):
            self._records.close(timeout_ms=1000)
            self._ends.close(timeout_ms=1000)
