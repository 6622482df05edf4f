"""Reads a stretch of one topic without a group: what is replayed, and what it is compared with."""

import time
from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from pipeline.broker.kafka.vendor.border import ENDS_MS, as_record, translated
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.errors import RestoreStalledError
from pipeline.records import Record

POLL_MS = 50
POLL_RECORDS = 500


class KafkaStretches:
    """One topic, one partition after the other. `stall_s` as for the changelog. One thread."""

    def __init__(self, bootstrap: str, *, topic: str, stall_s: float) -> None:
        self._topic = topic
        self._stall_s = stall_s
        with translated(f"opening topic {topic}"):
            self._records = open_consumer(bootstrap, auto_offset_reset="none")
            self._ends = open_consumer(bootstrap, isolation_level="read_uncommitted")

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the end of the log, open transactions included."""
        place = TopicPartition(self._topic, partition)
        with translated(f"looking up the ends of {self._topic} partition {partition}"):
            first = self._ends.beginning_offsets([place], timeout_ms=ENDS_MS)[place]
            return first, self._ends.end_offsets([place], timeout_ms=ENDS_MS)[place]

    def read(self, partition: int, start: int, end: int) -> Iterator[Record]:
        """The committed records of [start, end), in order.

        Offsets may have holes, so the position tells that `end` is reached. Raises
        `RestoreStalledError` when nothing arrives for too long, or retention has overtaken us.
        """
        place = TopicPartition(self._topic, partition)
        self._records.assign([place])
        self._records.seek(place, start)
        position, progress_s = start, time.monotonic()
        while position < end:
            batch, reached = self._poll(place, position)
            for raw in batch:
                if raw.offset < end:
                    yield as_record(raw)
            if reached > position:  # what the reader did meanwhile is no stall of ours
                position, progress_s = reached, time.monotonic()
            elif time.monotonic() - progress_s > self._stall_s:
                raise RestoreStalledError(
                    f"nothing arrives of {self._topic} partition {partition} for"
                    f" {self._stall_s:.0f} s, at offset {position} of {end}: a transaction is left"
                    " open there, or the broker does not serve it; try again"
                )
        self._records.assign([])

    def _poll(self, place: TopicPartition, position: int) -> tuple[list[Any], int]:
        """What has arrived, and the position after it: past markers and what was aborted too."""
        with translated(f"reading {place.topic} partition {place.partition}"):
            try:
                found = self._records.poll(POLL_MS, max_records=POLL_RECORDS)
            except OffsetOutOfRangeError as exc:
                raise RestoreStalledError(
                    f"{place.topic} partition {place.partition} no longer holds offset {position}:"
                    " retention has deleted it while we read. Start again, or keep it longer"
                    " (the topic's retention.ms)"
                ) from exc
            return list(found.get(place, ())), self._records.position(place) or position

    def close(self) -> None:
        """Close the connections."""
        with translated(f"closing topic {self._topic}"):
            self._records.close(timeout_ms=1000)
            self._ends.close(timeout_ms=1000)
