"""Reads all that a topic holds now, for those who have to have seen everything."""

import time
from collections.abc import Iterator, Mapping

from kafka import TopicPartition

from pipeline.broker.kafka.vendor.border import ENDS_MS, as_record, translated
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.errors import RestoreStalledError
from pipeline.records import Record

POLL_MS = 100
POLL_RECORDS = 5000


class KafkaWhole:
    """The committed records of one topic, from its first to its end as of opening.

    The end is that of the whole log: transactions that are open now are waited for, `stall_s` at
    most. `starts` and `ends` are offsets by partition.
    """

    def __init__(self, bootstrap: str, *, topic: str, stall_s: float) -> None:
        self.topic = topic
        self._stall_s = stall_s
        with translated(f"opening topic {topic}"):
            self._records = open_consumer(bootstrap)
            numbers = self._records.partitions_for_topic(topic) or set()
            self._places = [TopicPartition(topic, number) for number in sorted(numbers)]
            self._records.assign(self._places)
            starts = self._records.beginning_offsets(self._places, timeout_ms=ENDS_MS)
            looking = open_consumer(bootstrap, isolation_level="read_uncommitted")
            ends = looking.end_offsets(self._places, timeout_ms=ENDS_MS)
            looking.close(timeout_ms=1000)
        self.starts: Mapping[int, int] = {p.partition: starts[p] for p in self._places}
        self.ends: Mapping[int, int] = {p.partition: ends[p] for p in self._places}

    @property
    def offsets(self) -> int:
        """How many offsets there are to be read; some hold no record."""
        return sum(self.ends[n] - self.starts[n] for n in self.starts)

    def read(self) -> Iterator[list[Record]]:
        """Read to the end, partition by partition in order, as it comes.

        Raises `RestoreStalledError` when nothing comes any more short of the end.
        """
        with translated(f"reading topic {self.topic}"):
            self._records.seek_to_beginning(*self._places)
            waiting = self._short(self._places)
            progress_s = time.monotonic()
            while waiting:
                batches = self._records.poll(POLL_MS, max_records=POLL_RECORDS)
                if batches:
                    progress_s = time.monotonic()
                yield [as_record(raw) for batch in batches.values() for raw in batch]
                waiting = self._short(waiting)
                if waiting and time.monotonic() - progress_s > self._stall_s:
                    raise RestoreStalledError(
                        f"nothing arrives of {sorted(waiting)} for {self._stall_s:.0f} s: a"
                        " transaction is left open there, or the broker does not serve it"
                    )

    def _short(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """The partitions that are not read to their end; the others are read no further."""
        read = [p for p in places if (self._records.position(p) or 0) >= self.ends[p.partition]]
        self._records.pause(*read)
        return [place for place in places if place not in read]

    def close(self) -> None:
        """Close the connection."""
        with translated("closing"):
            self._records.close(timeout_ms=1000)
