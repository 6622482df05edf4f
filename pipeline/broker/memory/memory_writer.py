"""Writes to a log in memory: the checkpoint writer with its transactional producer, the outlet."""

from collections.abc import Mapping, Sequence

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.memory.log import MemoryLog
from pipeline.records import Outgoing


class MemoryProducer:
    """A transactional producer: the single steps of a commit."""

    def __init__(self, log: MemoryLog, name: str) -> None:
        self._log = log
        self._name = name
        self._epoch = log.init_producer(name)

    def begin(self) -> None:
        """Begin a transaction."""
        self._log.begin(self._name, self._epoch)

    def send(self, outgoing: Outgoing) -> None:
        """Write one record within the transaction."""
        self._log.write(self._name, self._epoch, outgoing)

    def send_offsets(self, member: Member, offsets: Mapping[int, int]) -> None:
        """Send the group's offsets by partition. It refuses a member that is not current."""
        self._log.send_offsets(self._name, self._epoch, member, offsets)

    def commit(self) -> None:
        """Commit the transaction."""
        self._log.finish(self._name, self._epoch, commit=True)

    def renew(self) -> None:
        """Begin the next epoch: abort the open transaction, fence other producers of the name."""
        self._epoch = self._log.init_producer(self._name)


class MemoryWriter:
    """See `CheckpointWriter`."""

    def __init__(self, producer: MemoryProducer) -> None:
        self._producer = producer

    def commit(self, checkpoint: Checkpoint, member: Member) -> None:
        """See `CheckpointWriter`."""
        self._producer.begin()
        for part in checkpoint.parts:
            for outgoing in part.outgoing:
                self._producer.send(outgoing)
        offsets = {part.partition: part.next_offset for part in checkpoint.parts}
        self._producer.send_offsets(member, offsets)
        self._producer.commit()

    def renew(self) -> None:
        """See `CheckpointWriter`."""
        self._producer.renew()

    def close(self) -> None:
        """See `CheckpointWriter`."""


class MemoryOutlet:
    """See `Outlet`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def publish(self, burst: Sequence[Outgoing]) -> None:
        """See `Outlet`."""
        for outgoing in burst:
            self._log.write_through(outgoing)

    def close(self) -> None:
        """See `Outlet`."""
