"""One worker's access to a log in memory."""

from pipeline.broker.memory.log import MemoryLog
from pipeline.broker.memory.memory_changelog import MemoryChangelog
from pipeline.broker.memory.memory_consumer import MemoryConsumer
from pipeline.broker.memory.memory_owners import MemoryOwners
from pipeline.broker.memory.memory_writer import MemoryOutlet, MemoryProducer, MemoryWriter
from pipeline.errors import PartitionCountError
from pipeline.records import Topics


class MemoryBroker:
    """See `Broker`. `slot` names the transactional producer."""

    def __init__(self, log: MemoryLog, *, slot: str, stall_s: float = 10.0) -> None:
        self._log = log
        self._slot = slot
        self._stall_s = stall_s

    @property
    def topics(self) -> Topics:
        """See `Broker`."""
        return self._log.topics

    def partition_count(self) -> int:
        """See `Broker`."""
        names = (self.topics.frames, self.topics.predictions, self.topics.state)
        counts = {name: self._log.partition_count(name) for name in names}
        if min(counts.values()) < counts[self.topics.frames]:
            raise PartitionCountError(f"partition counts differ: {counts}")
        return counts[self.topics.frames]

    def consumer(self) -> MemoryConsumer:
        """See `Broker`."""
        return MemoryConsumer(self._log)

    def writer(self) -> MemoryWriter:
        """See `Broker`."""
        return MemoryWriter(MemoryProducer(self._log, self._slot))

    def outlet(self) -> MemoryOutlet:
        """See `Broker`."""
        return MemoryOutlet(self._log)

    def changelog(self) -> MemoryChangelog:
        """See `Broker`."""
        return MemoryChangelog(self._log, stall_s=self._stall_s)

    def owners(self) -> MemoryOwners:
        """See `Broker`."""
        return MemoryOwners(self._log)
