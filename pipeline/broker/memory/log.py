"""The log in memory: topics, transactional producers, and one group that reads the frames."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.broker.checkpoint import Member
from pipeline.broker.memory.memory_group import MemoryGroup
from pipeline.broker.memory.partition_log import PartitionLog, Transaction
from pipeline.broker.owners import Owners
from pipeline.broker.partitioner import partition_of
from pipeline.clock import Clock
from pipeline.errors import CommitRefusedError, FencedError, TopicError
from pipeline.records import Changelog, Headers, Outgoing, Record, Topics


@dataclass(slots=True)
class ProducerLife:
    """The log's state of a transactional producer name."""

    epoch: int = 0
    open: Transaction | None = None
    touched: set[tuple[str, int]] = field(default_factory=set)
    offsets: Mapping[int, int] = field(default_factory=dict)

    def begin(self) -> None:
        """Open a transaction."""
        self.open = Transaction()

    def send_offsets(self, offsets: Mapping[int, int]) -> None:
        """Keep the offsets that are committed with the open transaction."""
        self.offsets = offsets

    def fence(self) -> None:
        """Begin a new epoch: producers of older epochs may not write any more."""
        self.epoch += 1

    def forget(self) -> None:
        """Clear the transaction after its end."""
        self.open, self.touched, self.offsets = None, set(), {}


class MemoryLog:
    """The cluster as workers see it. Every topic has as many partitions as the group divides."""

    def __init__(self, topics: Topics, group: MemoryGroup, *, clock: Clock) -> None:
        self.topics = topics
        self.group = group
        self.changed = group.changed
        self.clock = clock
        self.committed_offsets: Mapping[int, int] = {}  # of the group, by partition
        self._logs: dict[str, list[PartitionLog]] = {}
        self._ids: dict[str, str] = {}
        self._made = itertools.count(1)
        for name in (*topics.by_role.values(), topics.cameras):
            self._make(name, group.partitions)
        self._producers: dict[str, ProducerLife] = {}
        self._owners: dict[str, str] = {}  # by topic

    def _make(self, topic: str, partitions: int) -> None:
        """Make a topic, which is empty and has an id that no other has had."""
        self._logs[topic] = [PartitionLog() for _ in range(partitions)]
        self._ids[topic] = f"{topic}-{next(self._made)}"

    # ----------------------------------------------------------------------------- what is read

    def partition_count(self, topic: str) -> int:
        """Count the partitions of a topic."""
        return len(self._log(topic))

    def topic_ids(self) -> dict[str, str]:
        """Return the ids of the group's topics, by role."""
        with self.changed:
            return {role: self._ids[name] for role, name in self.topics.by_role.items()}

    def read_committed(self, topic: str) -> list[Record]:
        """Return a topic's committed records, partition by partition."""
        with self.changed:
            return [r for log in self._log(topic) for r in log.committed(0, log.stable_end)]

    def fetch(self, partition: int, offset: int, limit: int) -> tuple[list[Record], bool]:
        """Return committed frames from `offset` on, and whether the log still has that offset."""
        with self.changed:
            log = self._log(self.topics.frames)[partition]
            if offset < log.start:
                return [], False
            records = list(log.committed(offset, log.stable_end))
            return records[:limit], True

    def frames_from(self, partition: int, offset: int) -> list[Record]:
        """Return the committed frames of a partition from an offset on."""
        with self.changed:
            log = self._log(self.topics.frames)[partition]
            return list(log.committed(max(offset, log.start), log.stable_end))

    def stable_end(self, partition: int) -> int:
        """Return the end of the readable frames of a partition: before any open transaction."""
        with self.changed:
            return self._log(self.topics.frames)[partition].stable_end

    def changelog(self, partition: int) -> Changelog | None:
        """Return a changelog's newest committed records; None while a transaction is open in it."""
        with self.changed:
            log = self._log(self.topics.state)[partition]
            if log.stable_end < log.end:
                return None
            newest: dict[bytes, Record] = {}
            for record in log.committed(0, log.end):
                if record.value is None:
                    newest.pop(record.key or b"", None)
                else:
                    newest[record.key or b""] = record
            frames = self._log(self.topics.frames)[partition]
            return Changelog(newest, frames.start, frames.end, self.topic_ids())

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions. Members learn at once of those of the frames."""
        with self.changed:
            log = self._log(topic)
            log.extend(PartitionLog() for _ in range(partitions - len(log)))
            if topic == self.topics.frames:
                self.group.grow(partitions)

    def _log(self, topic: str) -> list[PartitionLog]:
        if topic not in self._logs:
            raise TopicError(f"there is no topic {topic}")
        return self._logs[topic]

    # -------------------------------------------------------------- written by any producer

    def publish(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
    ) -> int:
        """Write one record to the frames topic, as a camera does. Returns its offset."""
        now_ms = self._now_ms() if timestamp_ms is None else timestamp_ms
        with self.changed:
            log = self._log(self.topics.frames)[partition]
            offset = log.append(Record(partition, 0, now_ms, key, value, headers))
            self.changed.notify_all()
            return offset

    def write_through(self, outgoing: Outgoing) -> None:
        """Write one record outside of any transaction."""
        with self.changed:
            self._append(outgoing, None)
            self.changed.notify_all()

    def _append(self, outgoing: Outgoing, transaction: Transaction | None) -> tuple[str, int]:
        topic = self.topics.of(outgoing.destination)
        logs = self._log(topic)
        number = outgoing.partition
        if number is None:
            number = 0 if outgoing.key is None else partition_of(outgoing.key, len(logs))
        record = Record(number, 0, self._now_ms(), outgoing.key, outgoing.value, outgoing.headers)
        logs[number].append(record, transaction)
        return topic, number

    def _now_ms(self) -> int:
        return int(self.clock.time() * 1000)

    # ------------------------------------------------------------------------------- claims

    def owners(self) -> Owners:
        """Return the group that each output topic belongs to."""
        with self.changed:
            return {kind: self._owners.get(self.topics.of(kind)) for kind in self.topics.outputs}

    def claim(self, group: str, seen: Owners) -> Owners:
        """Claim each output topic whose owner is still as in `seen`."""
        with self.changed:
            now = self.owners()
            wanted = [kind for kind in self.topics.outputs if now[kind] == seen[kind]]
            self._owners |= {self.topics.of(kind): group for kind in wanted}
            return self.owners()

    # -------------------------------------------------------------------------- transactions

    def init_producer(self, name: str) -> int:
        """Begin a new epoch of producer `name`: abort its open transaction, fence older epochs."""
        with self.changed:
            producer = self._producers.setdefault(name, ProducerLife())
            self._end(producer, commit=False)
            producer.fence()
            return producer.epoch

    def begin(self, name: str, epoch: int) -> None:
        """Begin a transaction."""
        with self.changed:
            self._live(name, epoch).begin()

    def write(self, name: str, epoch: int, outgoing: Outgoing) -> None:
        """Write one record within the producer's transaction."""
        with self.changed:
            producer = self._live(name, epoch)
            producer.touched.add(self._append(outgoing, producer.open))

    def send_offsets(
        self, name: str, epoch: int, member: Member, offsets: Mapping[int, int]
    ) -> None:
        """Commit the group's offsets with the transaction.

        Refuses unless `member` belongs to the group's current generation.
        """
        with self.changed:
            producer = self._live(name, epoch)
            if self.group.generation_of(member.member_id) != member.generation:
                raise CommitRefusedError(
                    f"{member.member_id} of generation {member.generation} is of the past"
                )
            producer.send_offsets(offsets)

    def finish(self, name: str, epoch: int, *, commit: bool) -> None:
        """End the producer's transaction."""
        with self.changed:
            self._end(self._live(name, epoch), commit=commit)
            self.changed.notify_all()

    def _live(self, name: str, epoch: int) -> ProducerLife:
        producer = self._producers[name]
        if producer.epoch != epoch:
            raise FencedError(f"producer {name} has a newer life")
        return producer

    def _end(self, producer: ProducerLife, *, commit: bool) -> None:
        if producer.open is None:
            return
        if commit:
            producer.open.commit()
            self.committed_offsets = {**self.committed_offsets, **producer.offsets}
        for topic, number in producer.touched:
            self._log(topic)[number].mark_end(producer.open)
        producer.forget()
