"""Reads the changelogs of partitions from the changelog topic."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.broker.kafka.readers.group_evidence import GroupEvidence
from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.errors import CorruptStateError
from pipeline.records import Changelog, Destination, Record, Topics

FEW = 64  # offsets: the last ones of a partition can be markers, or of transactions that aborted
MORE = 16


class KafkaChangelog:
    """See `ChangelogReader`. `stall_s` must be above the transaction timeout of any worker."""

    def __init__(
        self, connection: Connection, *, topics: Topics, group: str, stall_s: float, clock: Clock
    ) -> None:
        self._topics = topics
        self._evidence = GroupEvidence(connection, topics=topics, group=group)
        self._reader = SpanReader(connection, stall_s=stall_s, clock=clock)

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """See `ChangelogReader`."""
        ids = self._evidence.topic_ids()
        state = self._reader.spans(self._topics.state, partitions)
        newest: dict[int, dict[bytes, Record]] = {number: {} for number in partitions}
        for records in self._reader.read(self._topics.state, state):
            _apply(self._topics.state, newest, records)
        frames = self._reader.spans(self._topics.frames, partitions)
        return {
            number: Changelog(newest[number], frames[number].start, frames[number].stop, ids)
            for number in partitions
        }

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`."""
        return self._reader.readable_ends(self._topics.frames, partitions)

    def topic_ids(self) -> Mapping[str, str]:
        """See `ChangelogReader`."""
        return self._evidence.topic_ids()

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`."""
        return self._evidence.committed(partitions)

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        """See `ChangelogReader`. It reads from the end backwards, in ever longer steps."""
        topic = self._topics.of(kind)
        there = set(self._reader.partitions(topic)).intersection(partitions)
        held = self._reader.spans(topic, there) if there else {}
        found: dict[int, dict[int, Record]] = {number: {} for number in held}
        step = FEW
        while held:
            last = {
                n: range(max(span.start, span.stop - step), span.stop) for n, span in held.items()
            }
            for records in self._reader.read(topic, last):
                for one in records:
                    found[one.partition][one.offset] = one
            held = {
                number: range(span.start, last[number].start)
                for number, span in held.items()
                if len(found[number]) < most and span.start < last[number].start
            }
            step *= MORE
        return [by_offset[n] for by_offset in found.values() for n in sorted(by_offset)[-most:]]

    def close(self) -> None:
        """See `ChangelogReader`."""
        self._evidence.close()
        self._reader.close()


def _apply(
    topic: str, newest: Mapping[int, dict[bytes, Record]], records: Iterable[Record]
) -> None:
    """Keep the newest record of each key; a tombstone deletes its key."""
    for record in records:
        if record.refused is not None:
            raise CorruptStateError(
                f"the changelog {topic} partition {record.partition} offset {record.offset} cannot"
                f" be read: {record.refused}. Workers write nothing like it: who else may write"
                " there? A new --group starts afresh"
            )
        key = record.key or b""  # a compacted topic accepts no record without a key
        if record.value is None:
            newest[record.partition].pop(key, None)
        else:
            newest[record.partition][key] = record
