"""Reads the memory of partitions back from the changelog topic."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition

from pipeline.broker.kafka.vendor.border import ENDS_MS, as_record, translated
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.errors import CorruptStateError, RestoreStalledError
from pipeline.records import Changelog, Record, Topics

POLL_MS = 50
POLL_RECORDS = 5000
FETCH_MS = 10  # at the end of a log there is nothing to wait for, and streams stand still


class KafkaChangelog:
    """See `ChangelogReader`. `stall_s` must be above the transaction timeout of any worker."""

    def __init__(self, bootstrap: str, *, topics: Topics, stall_s: float) -> None:
        self._topics = topics
        self._stall_s = stall_s
        with translated("opening the changelog"):
            self._records = open_consumer(bootstrap, fetch_max_wait_ms=FETCH_MS)
            self._ends = open_consumer(  # sees the end of the log, open transactions included
                bootstrap, isolation_level="read_uncommitted"
            )

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """See `ChangelogReader`."""
        with translated(f"reading the changelog of partitions {list(partitions)}"):
            state = [TopicPartition(self._topics.state, n) for n in partitions]
            frames = [TopicPartition(self._topics.frames, n) for n in partitions]
            newest = self._newest(state, self._ends.end_offsets(state, timeout_ms=ENDS_MS))
            starts = self._ends.beginning_offsets(frames, timeout_ms=ENDS_MS)
            ends = self._ends.end_offsets(frames, timeout_ms=ENDS_MS)
        return {
            place.partition: Changelog(newest[place.partition], starts[place], ends[place])
            for place in frames
        }

    def _newest(
        self, places: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
    ) -> dict[int, dict[bytes, Record]]:
        newest: dict[int, dict[bytes, Record]] = {place.partition: {} for place in places}
        self._records.assign(places)
        self._records.seek_to_beginning(*places)
        waiting = self._short(places, ends)
        progress_s = time.monotonic()
        while waiting:
            for place, batch in self._records.poll(POLL_MS, max_records=POLL_RECORDS).items():
                progress_s = time.monotonic()
                for raw in batch:
                    _apply(newest[place.partition], raw)
            waiting = self._short(waiting, ends)
            if waiting and time.monotonic() - progress_s > self._stall_s:
                raise RestoreStalledError(
                    f"nothing arrives of the changelog of {sorted(waiting)} for"
                    f" {self._stall_s:.0f} s, short of offsets {sorted(ends.values())}: a"
                    " transaction is left open there, or the broker does not serve it"
                )
        self._records.assign([])
        return newest

    def _short(
        self, places: Iterable[TopicPartition], ends: Mapping[TopicPartition, int]
    ) -> set[TopicPartition]:
        """Those that are not read to their end."""
        return {place for place in places if (self._records.position(place) or 0) < ends[place]}

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`."""
        places = [TopicPartition(self._topics.frames, number) for number in partitions]
        with translated(f"asking for the ends of partitions {list(partitions)}"):
            ends = self._records.end_offsets(places, timeout_ms=ENDS_MS)
        return {place.partition: end for place, end in ends.items()}

    def close(self) -> None:
        """See `ChangelogReader`."""
        with translated("closing the changelog"):
            self._records.close(timeout_ms=1000)
            self._ends.close(timeout_ms=1000)


def _apply(newest: dict[bytes, Record], raw: Any) -> None:
    record = as_record(raw)
    if record.refused is not None:
        raise CorruptStateError(
            f"the changelog {raw.topic} partition {record.partition} offset {record.offset} cannot"
            f" be read: {record.refused}. Workers write nothing like it: who else may write there?"
            " A new --group starts afresh"
        )
    if record.value is None:
        newest.pop(raw.key, None)
    else:
        newest[raw.key] = record
