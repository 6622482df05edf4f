"""The broker in memory with what only tests want: crashes at every step, and moves of the group."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline.broker.checkpoint import Member
from pipeline.broker.memory.log import MemoryLog, ProducerLife
from pipeline.broker.memory.memory_broker import MemoryBroker
from pipeline.broker.memory.memory_changelog import MemoryChangelog
from pipeline.broker.memory.memory_group import MemoryGroup
from pipeline.broker.memory.memory_writer import MemoryOutlet, MemoryProducer, MemoryWriter
from pipeline.broker.memory.partition_log import Entry
from pipeline.clock import Clock
from pipeline.errors import CommitTimedOutError
from pipeline.records import Changelog, Outgoing, Topics

InjectedFault = Callable[[str], None]  # called before each step of the protocol, with its name


def no_fault(step: str) -> None:
    """Let every step pass."""
    del step


class MovableGroup(MemoryGroup):
    """A group that a test can rebalance."""

    def rebalance(self) -> None:
        """Rebalance without a cause."""
        with self.changed:
            self._rebalance()

    def hand_over(self, member_id: str, partitions: Iterable[int]) -> None:
        """Give a member partitions that it already believes to have, without any event (K12).

        Members that had them in the meantime get an event of the loss.
        """
        with self.changed:
            wanted = set(partitions)
            taker = self._members.pop(member_id)
            for other in self._members.values():
                lost = frozenset(other.partitions & wanted)
                if lost:
                    other.drop(lost)
            self._members[member_id] = taker
            unpolled = (event for event in taker.unpolled if not event.partitions <= wanted)
            taker.unpolled = deque(unpolled)
            taker.partitions |= wanted


class MovableLog(MemoryLog):
    """A log in which a test can cause retention, timeouts and changes by administrators."""

    group: MovableGroup

    def __init__(self, topics: Topics, *, partitions: int, clock: Clock) -> None:
        super().__init__(topics, MovableGroup(partitions), clock=clock)
        self._timed_out: set[tuple[str, int]] = set()  # producers by name and epoch

    def make_anew(self, topic: str) -> None:
        """Delete a topic with all that it holds, and make one of the same name."""
        with self.changed:
            if topic == self.topics.frames:
                self.committed_offsets = {}  # as Kafka does
            self._make(topic, len(self._log(topic)))

    def truncate(self, partition: int, end: int) -> list[Entry]:
        """Let the frames from `end` on vanish, as a leader that is behind does. Returns them."""
        with self.changed:
            entries = self._log(self.topics.frames)[partition].entries
            gone = entries[end:]
            del entries[end:]
            return gone

    def extend(self, partition: int, entries: Iterable[Entry]) -> None:
        """Put frames that had vanished back."""
        with self.changed:
            self._log(self.topics.frames)[partition].entries.extend(entries)

    def expire(self, partition: int, offset: int) -> None:
        """Let retention delete the frames below `offset`."""
        with self.changed:
            self._log(self.topics.frames)[partition].expire(offset)

    def forget_claims(self) -> None:
        """Let the time of all claims run out."""
        with self.changed:
            self._owners.clear()

    def abort_open(self) -> None:
        """Let every open transaction time out, and fence its producer."""
        with self.changed:
            for name, producer in self._producers.items():
                if producer.open is not None:
                    self._timed_out.add((name, producer.epoch))
                    producer.fence()
                    self._end(producer, commit=False)

    def _live(self, name: str, epoch: int) -> ProducerLife:
        if (name, epoch) in self._timed_out:
            raise CommitTimedOutError(f"a transaction of producer {name} has timed out")
        return super()._live(name, epoch)


class FaultyProducer(MemoryProducer):
    """Fails at the steps of a commit."""

    def __init__(self, log: MemoryLog, name: str, fault: InjectedFault) -> None:
        super().__init__(log, name)
        self._fault = fault

    def begin(self) -> None:
        self._fault("begin")
        super().begin()

    def send(self, outgoing: Outgoing) -> None:
        self._fault("send")
        super().send(outgoing)

    def send_offsets(self, member: Member, offsets: Mapping[int, int]) -> None:
        self._fault("offsets")
        super().send_offsets(member, offsets)

    def commit(self) -> None:
        self._fault("commit")
        super().commit()
        self._fault("committed")

    def renew(self) -> None:
        self._fault("renew")
        super().renew()


class FaultyOutlet(MemoryOutlet):
    """Fails before each record of a burst, and after the last."""

    def __init__(self, log: MemoryLog, fault: InjectedFault) -> None:
        super().__init__(log)
        self._fault = fault

    def publish(self, burst: Sequence[Outgoing]) -> None:
        for outgoing in burst:
            self._fault("publish")
            super().publish([outgoing])
        self._fault("published")


class FaultyChangelog(MemoryChangelog):
    """Fails before it reads."""

    def __init__(self, log: MemoryLog, fault: InjectedFault, *, stall_s: float) -> None:
        super().__init__(log, stall_s=stall_s)
        self._fault = fault

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        self._fault("restore")
        return super().read(partitions)


class FaultyBroker(MemoryBroker):
    """One worker's way to the log. `fault` is called before each step of the protocol."""

    def __init__(
        self, log: MemoryLog, *, slot: str, fault: InjectedFault = no_fault, stall_s: float = 10.0
    ) -> None:
        super().__init__(log, slot=slot, stall_s=stall_s)
        self._fault = fault

    def writer(self) -> MemoryWriter:
        return MemoryWriter(FaultyProducer(self._log, self._slot, self._fault))

    def outlet(self) -> MemoryOutlet:
        return FaultyOutlet(self._log, self._fault)

    def changelog(self) -> MemoryChangelog:
        return FaultyChangelog(self._log, self._fault, stall_s=self._stall_s)
