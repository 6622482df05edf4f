"""Follows a topic like any consumer, for `longtake tail`, `live` and `demo`."""

from collections.abc import Sequence

from kafka import TopicPartition

from pipeline.broker.kafka.vendor.border import ENDS_MS, as_record, translated
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.connection import Connection
from pipeline.records import Record

POLL_RECORDS = 5000
CHECK_MS = 2500


class TopicTail:
    """Reads the committed records of one topic, all partitions, without a group."""

    def __init__(self, connection: Connection, *, topic: str, from_start: bool) -> None:
        self._connection, self._topic = connection, topic
        self._ends: dict[TopicPartition, int] | None = None
        with translated(f"opening topic {topic}", connection):
            self._consumer = open_consumer(connection)
            numbers = self._consumer.partitions_for_topic(topic) or set()
            places = [TopicPartition(topic, number) for number in sorted(numbers)]
            self._consumer.assign(places)
            if from_start:
                self._consumer.seek_to_beginning(*places)
            else:
                self._consumer.seek_to_end(*places)
                for place in places:
                    self._consumer.position(place)  # looks up the end now, not at the first poll

    def read(self, timeout_s: float) -> Sequence[Record]:
        """Wait at most `timeout_s` for records."""
        with translated("reading", self._connection):
            batches = self._consumer.poll(int(timeout_s * 1000), max_records=POLL_RECORDS)
        return [as_record(raw) for batch in batches.values() for raw in batch]

    def caught_up(self) -> bool:
        """Whether all is read that the topic held at the first call."""
        with translated("looking up the ends", self._connection, needs="DESCRIBE"):
            if self._ends is None:
                places = list(self._consumer.assignment())
                self._ends = self._consumer.end_offsets(places, timeout_ms=ENDS_MS)
            reached = {place: self._consumer.position(place) for place in self._ends}
        return all((reached[place] or 0) >= end for place, end in self._ends.items())

    def check(self) -> bool:
        """Return whether all partitions of the topic are read, of which there is at least one.

        Raises `BrokerUnavailableError` if the broker does not answer within CHECK_MS.
        """
        with translated("asking for its end", self._connection, needs="DESCRIBE"):
            places = list(self._consumer.assignment())
            if places:
                self._consumer.end_offsets(places, timeout_ms=CHECK_MS)
            numbers = self._consumer.partitions_for_topic(self._topic) or set()
        return 0 < len(places) == len(numbers)

    def close(self) -> None:
        """Close the connection."""
        with translated("closing", self._connection):
            self._consumer.close(timeout_ms=1000)
