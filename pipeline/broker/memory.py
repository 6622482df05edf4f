"""A broker in memory, under the same contract as Kafka: for tests, and for a demo without Java.

`MemoryLog` is the cluster: topics with transactions and a group with generations. `MemoryBroker`
is one worker's way to it. A lock guards all of it, so workers may run in threads.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.contract import Assigned, Dropped, Event, OutOfRange, Poll
from pipeline.clock import Clock
from pipeline.errors import (
    CommitRefusedError,
    FencedError,
    PartitionCountError,
    RestoreStalledError,
    TopicError,
)
from pipeline.records import Changelog, Headers, Outgoing, Record, Topics

InjectedFault = Callable[[str], None]


def no_fault(step: str) -> None:
    """Let every step of the protocol pass."""
    del step


@dataclass(slots=True)
class _Transaction:
    """What a producer has written since it began, until it ends one way or the other."""

    committed: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    """One offset of a partition: a record, or the marker that ends a transaction."""

    record: Record | None
    transaction: _Transaction | None = None


@dataclass(slots=True)
class _Partition:
    start: int = 0
    entries: list[_Entry] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)  # id of transaction -> its first offset

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    @property
    def stable_end(self) -> int:
        """The first offset of an open transaction; what is behind it nobody may read yet."""
        return min(self.open.values(), default=self.end)

    def append(self, record: Record, transaction: _Transaction | None = None) -> int:
        offset = self.end
        self.entries.append(_Entry(replace(record, offset=offset), transaction))
        if transaction is not None:
            self.open.setdefault(id(transaction), offset)
        return offset

    def mark_end(self, transaction: _Transaction) -> None:
        """Write the marker that ends a transaction: it takes an offset of its own."""
        del self.open[id(transaction)]
        self.entries.append(_Entry(None))

    def committed(self, offset: int, end: int) -> Iterable[Record]:
        for entry in self.entries[max(0, offset - self.start) : end - self.start]:
            if entry.record is not None and (
                entry.transaction is None or entry.transaction.committed
            ):
                yield entry.record


@dataclass(slots=True)
class _Producer:
    epoch: int = 0
    open: _Transaction | None = None
    touched: set[tuple[str, int]] = field(default_factory=set)


@dataclass(slots=True)
class _Membership:
    """A member as the group sees it, and what it has not been told yet."""

    generation: int = -1
    partitions: set[int] = field(default_factory=set)
    news: deque[Event] = field(default_factory=deque)


class MemoryLog:
    """Topics, transactions and one group. Everything a cluster of brokers is to a worker."""

    def __init__(self, topics: Topics, *, partitions: int, clock: Clock) -> None:
        self.topics = topics
        self.changed = threading.Condition()
        self._clock = clock
        self._logs = {
            name: [_Partition() for _ in range(partitions)]
            for name in (topics.frames, topics.predictions, topics.dead_letters, topics.state)
        }
        self._producers: dict[str, _Producer] = {}
        self._members: dict[str, _Membership] = {}
        self._generation = 0
        self._joined = 0

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
        now_ms = int(self._clock.time() * 1000) if timestamp_ms is None else timestamp_ms
        with self.changed:
            log = self._logs[self.topics.frames][partition]
            offset = log.append(Record(partition, 0, now_ms, key, value, headers))
            self.changed.notify_all()
            return offset

    def read_committed(self, topic: str) -> list[Record]:
        """Everything that a reader of committed records sees of a topic, partition by partition."""
        with self.changed:
            return [r for log in self._log(topic) for r in log.committed(0, log.stable_end)]

    def partition_count(self, topic: str) -> int:
        """Count the partitions of a topic."""
        return len(self._log(topic))

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        with self.changed:
            self._log(topic).extend(_Partition() for _ in range(partitions - len(self._log(topic))))

    def expire(self, partition: int, offset: int) -> None:
        """Let retention delete the frames below `offset`."""
        with self.changed:
            log = self._logs[self.topics.frames][partition]
            del log.entries[: max(0, offset - log.start)]
            log.start = max(log.start, offset)

    def _log(self, topic: str) -> list[_Partition]:
        if topic not in self._logs:
            raise TopicError(f"there is no topic {topic}")
        return self._logs[topic]

    # ------------------------------------------------------------------------------- the group

    def join(self) -> str:
        """Let a new member into the group. Returns its id."""
        with self.changed:
            self._joined += 1
            member_id = f"member-{self._joined}"
            self._members[member_id] = _Membership()
            self._rebalance()
            return member_id

    def leave(self, member_id: str) -> None:
        """Take a member out: it left, or it was not heard of for the session timeout."""
        with self.changed:
            if self._members.pop(member_id, None) is not None:
                self._rebalance()

    def members(self) -> tuple[str, ...]:
        """The ids of the group's members."""
        return tuple(self._members)

    def rebalance(self) -> None:
        """Go through a rebalance that nothing caused."""
        with self.changed:
            self._rebalance()

    def hand_over(self, member_id: str, partitions: Iterable[int]) -> None:
        """Give partitions to a member that takes them for its own anyway, and hears nothing (K12).

        Whoever else had them in the meantime hears of the loss.
        """
        with self.changed:
            wanted = set(partitions)
            taker = self._members.pop(member_id)
            for other in self._members.values():
                lost = other.partitions & wanted
                other.partitions -= lost
                if lost:
                    other.news.append(Dropped(frozenset(lost)))
            self._members[member_id] = taker
            taker.news = deque(event for event in taker.news if not event.partitions <= wanted)
            taker.partitions |= wanted

    def _rebalance(self) -> None:
        """Cooperative and sticky: what can stay stays; what must move is dropped first."""
        self._generation += 1
        if not self._members:
            return
        count = len(self._logs[self.topics.frames])
        quota = -(-count // len(self._members))
        for membership in self._members.values():
            surplus = set(sorted(membership.partitions)[quota:])
            if surplus:
                membership.partitions -= surplus
                membership.news.append(Dropped(frozenset(surplus)))
            membership.generation = self._generation
        self._hand_out(count)
        self.changed.notify_all()

    def _hand_out(self, count: int) -> None:
        """Assign the partitions that nobody has, once those who had them know that."""
        unknowing = {
            number
            for membership in self._members.values()
            for event in membership.news
            if isinstance(event, Dropped)
            for number in event.partitions
        }
        owned = {n for m in self._members.values() for n in m.partitions}
        free = sorted(set(range(count)) - owned - unknowing)
        for number in free:
            poorest = min(self._members.values(), key=lambda m: len(m.partitions))
            poorest.partitions.add(number)
            poorest.news.append(Assigned(frozenset([number])))
        if free:  # handing out is a round of its own: claims from before it are of the past
            self._generation += 1
            for membership in self._members.values():
                membership.generation = self._generation

    def news(self, member_id: str) -> tuple[Event, ...]:
        """Tell a member what has happened to its assignment since it last asked."""
        with self.changed:
            membership = self._members.get(member_id)
            if membership is None:
                return ()
            events = tuple(membership.news)
            membership.news.clear()
            if any(isinstance(event, Dropped) for event in events):
                self._hand_out(len(self._logs[self.topics.frames]))
            return events

    def generation_of(self, member_id: str) -> int | None:
        """The generation a member belongs to; None when it is no member any more."""
        membership = self._members.get(member_id)
        return None if membership is None else membership.generation

    def fetch(self, partition: int, offset: int, limit: int) -> tuple[list[Record], bool]:
        """Committed frames from `offset` on, and whether the log still has that offset."""
        with self.changed:
            log = self._logs[self.topics.frames][partition]
            if offset < log.start:
                return [], False
            records = list(log.committed(offset, log.stable_end))
            return records[:limit], True

    def stable_end(self, partition: int) -> int:
        """Where the frames of a partition end, as far as they can be read."""
        with self.changed:
            return self._logs[self.topics.frames][partition].stable_end

    # -------------------------------------------------------------------------- transactions

    def init_producer(self, name: str) -> int:
        """Begin a new life of the producer `name`: ends its open transaction, fences the old."""
        with self.changed:
            producer = self._producers.setdefault(name, _Producer())
            self._end(producer, commit=False)
            producer.epoch += 1
            return producer.epoch

    def begin(self, name: str, epoch: int) -> None:
        """Begin a transaction."""
        with self.changed:
            self._live(name, epoch).open = _Transaction()

    def write(self, name: str, epoch: int, outgoing: Outgoing) -> None:
        """Write one record within the producer's transaction."""
        with self.changed:
            producer = self._live(name, epoch)
            producer.touched.add(self._append(outgoing, producer.open))

    def write_through(self, outgoing: Outgoing) -> None:
        """Write one record outside of any transaction."""
        with self.changed:
            self._append(outgoing, None)
            self.changed.notify_all()

    def _append(self, outgoing: Outgoing, transaction: _Transaction | None) -> tuple[str, int]:
        topic = self.topics.of(outgoing.destination)
        number = outgoing.partition or 0
        now_ms = int(self._clock.time() * 1000)
        record = Record(number, 0, now_ms, outgoing.key, outgoing.value, outgoing.headers)
        self._log(topic)[number].append(record, transaction)
        return topic, number

    def send_offsets(self, name: str, epoch: int, member: Member) -> None:
        """Let the group check that `member` is of the present."""
        with self.changed:
            self._live(name, epoch)
            if self.generation_of(member.member_id) != member.generation:
                raise CommitRefusedError(
                    f"{member.member_id} of generation {member.generation} is of the past"
                )

    def finish(self, name: str, epoch: int, *, commit: bool) -> None:
        """End the producer's transaction."""
        with self.changed:
            self._end(self._live(name, epoch), commit=commit)
            self.changed.notify_all()

    def abort_open(self) -> None:
        """Let every open transaction time out, and fence its producer."""
        with self.changed:
            for producer in self._producers.values():
                if producer.open is not None:
                    producer.epoch += 1
                    self._end(producer, commit=False)

    def _live(self, name: str, epoch: int) -> _Producer:
        producer = self._producers[name]
        if producer.epoch != epoch:
            raise FencedError(f"producer {name} has a newer life")
        return producer

    def _end(self, producer: _Producer, *, commit: bool) -> None:
        if producer.open is None:
            return
        producer.open.committed = commit
        for topic, number in producer.touched:
            self._log(topic)[number].mark_end(producer.open)
        producer.open, producer.touched = None, set()

    def changelog(self, partition: int) -> Changelog | None:
        """The newest committed records of a changelog; None while a transaction is open in it."""
        with self.changed:
            log = self._logs[self.topics.state][partition]
            if log.stable_end < log.end:
                return None
            newest: dict[bytes, Record] = {}
            for record in log.committed(0, log.end):
                if record.value is None:
                    newest.pop(record.key or b"", None)
                else:
                    newest[record.key or b""] = record
            frames = self._logs[self.topics.frames][partition]
            return Changelog(newest, frames.start, frames.end)


class MemoryBroker:
    """One worker's way to a `MemoryLog`. `fault` is called before each step of the protocol."""

    def __init__(
        self,
        log: MemoryLog,
        *,
        slot: str,
        fault: InjectedFault = no_fault,
        stall_s: float = 10.0,
    ) -> None:
        self._log = log
        self._slot = slot
        self._fault = fault
        self._stall_s = stall_s

    @property
    def topics(self) -> Topics:
        """See `Broker`."""
        return self._log.topics

    def partition_count(self) -> int:
        """See `Broker`."""
        names = (self.topics.frames, self.topics.predictions, self.topics.state)
        counts = {name: self._log.partition_count(name) for name in names}
        if len(set(counts.values())) > 1:
            raise PartitionCountError(f"partition counts differ: {counts}")
        return counts[self.topics.frames]

    def consumer(self) -> "MemoryConsumer":
        """See `Broker`."""
        return MemoryConsumer(self._log)

    def writer(self) -> "MemoryWriter":
        """See `Broker`."""
        return MemoryWriter(self._log, self._slot, self._fault)

    def outlet(self) -> "MemoryOutlet":
        """See `Broker`."""
        return MemoryOutlet(self._log, self._fault)

    def changelog(self) -> "MemoryChangelog":
        """See `Broker`."""
        return MemoryChangelog(self._log, self._fault, self._stall_s)


class MemoryConsumer:
    """See `FrameConsumer`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.member_id = log.join()
        self._member: Member | None = None
        self._assigned: set[int] = set()
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()

    def poll(self, timeout_s: float, max_records: int) -> Poll:
        """See `FrameConsumer`."""
        generation = self._log.generation_of(self.member_id)
        if generation is None:
            return self._rejoin()
        events = list(self._log.news(self.member_id))
        for event in events:
            self._hear(event)
        self._member = Member(self.member_id, generation)
        records = self._fetch(max_records, events)
        if not records and not events and timeout_s > 0:
            with self._log.changed:
                self._log.changed.wait(timeout_s)
            records = self._fetch(max_records, events)
        return Poll(tuple(events), tuple(records))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Assigned):
            self._assigned |= event.partitions
        else:
            self._assigned -= event.partitions
        for number in event.partitions:
            self._positions.pop(number, None)
            self._paused.discard(number)

    def _rejoin(self) -> Poll:
        """The group gave us up: everything is lost, and we come back as somebody new."""
        lost = Dropped(frozenset(self._assigned))
        self._hear(lost)
        self._member = None
        self.member_id = self._log.join()
        return Poll((lost,) if lost.partitions else (), ())

    def _fetch(self, limit: int, events: list[Event]) -> list[Record]:
        """Records of all partitions that are read, each with an equal share of the limit."""
        fetched: list[Record] = []
        numbers = sorted(set(self._positions) - self._paused)
        for number in numbers:
            share = max(1, limit // len(numbers))
            records, in_range = self._log.fetch(number, self._positions[number], share)
            if not in_range:
                del self._positions[number]
                events.append(OutOfRange(frozenset([number])))
            elif records:
                self._positions[number] = records[-1].offset + 1
                fetched += records
        return fetched

    def member(self) -> Member | None:
        """See `FrameConsumer`."""
        return self._member

    def start(self, partition: int, offset: int) -> None:
        """See `FrameConsumer`."""
        if partition in self._assigned:
            self._positions[partition] = offset

    def position(self, partition: int) -> int | None:
        """See `FrameConsumer`."""
        return self._positions.get(partition)

    def pause(self, partitions: Sequence[int]) -> None:
        """See `FrameConsumer`."""
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[int]) -> None:
        """See `FrameConsumer`."""
        self._paused.difference_update(partitions)

    def close(self) -> None:
        """See `FrameConsumer`."""
        self._log.leave(self.member_id)


class MemoryWriter:
    """See `CheckpointWriter`."""

    def __init__(self, log: MemoryLog, slot: str, fault: InjectedFault) -> None:
        self._log = log
        self._slot = slot
        self._fault = fault
        self._epoch = log.init_producer(slot)

    def commit(self, checkpoint: Checkpoint, member: Member) -> None:
        """See `CheckpointWriter`."""
        self._fault("begin")
        self._log.begin(self._slot, self._epoch)
        for part in checkpoint.parts:
            for outgoing in part.outgoing:
                self._fault("send")
                self._log.write(self._slot, self._epoch, outgoing)
        self._fault("offsets")
        self._log.send_offsets(self._slot, self._epoch, member)
        self._fault("commit")
        self._log.finish(self._slot, self._epoch, commit=True)
        self._fault("committed")

    def renew(self) -> None:
        """See `CheckpointWriter`."""
        self._fault("renew")
        self._epoch = self._log.init_producer(self._slot)

    def close(self) -> None:
        """See `CheckpointWriter`."""


class MemoryOutlet:
    """See `Outlet`."""

    def __init__(self, log: MemoryLog, fault: InjectedFault) -> None:
        self._log = log
        self._fault = fault

    def publish(self, burst: Sequence[Outgoing]) -> None:
        """See `Outlet`."""
        for outgoing in burst:
            self._fault("publish")
            self._log.write_through(outgoing)
        self._fault("published")

    def close(self) -> None:
        """See `Outlet`."""


class MemoryChangelog:
    """See `ChangelogReader`."""

    def __init__(self, log: MemoryLog, fault: InjectedFault, stall_s: float) -> None:
        self._log = log
        self._fault = fault
        self._stall_s = stall_s

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """See `ChangelogReader`."""
        self._fault("restore")
        deadline_s = time.monotonic() + self._stall_s
        while True:
            found = {number: self._log.changelog(number) for number in partitions}
            ready = {number: changelog for number, changelog in found.items() if changelog}
            if len(ready) == len(partitions):
                return ready
            if time.monotonic() > deadline_s:
                raise RestoreStalledError(
                    f"a transaction stays open in partitions {sorted(found.keys() - ready.keys())}"
                )
            time.sleep(0.005)

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`."""
        return {number: self._log.stable_end(number) for number in partitions}

    def close(self) -> None:
        """See `ChangelogReader`."""
