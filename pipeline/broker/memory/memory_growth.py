"""An operator's access to a log in memory, to give a group more partitions."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.broker.checkpoint import Checkpoint
from pipeline.broker.growth_log import PartitionCounts
from pipeline.broker.memory.log import MemoryLog
from pipeline.broker.memory.memory_changelog import MemoryChangelog
from pipeline.errors import CannotMoveError
from pipeline.records import Changelog, Outgoing, Record, Topics

OPERATOR = "operator"  # the name of its transactional producer


class MemoryGrowth:
    """See `GrowthLog`. A log in memory has one group."""

    def __init__(self, log: MemoryLog, *, stall_s: float = 10.0) -> None:
        self._log = log
        self._changelog = MemoryChangelog(log, stall_s=stall_s)

    @property
    def topics(self) -> Topics:
        """See `GrowthLog`."""
        return self._log.topics

    def counts(self) -> PartitionCounts:
        """See `GrowthLog`."""
        count, topics = self._log.partition_count, self.topics
        return PartitionCounts(count(topics.frames), count(topics.predictions), count(topics.state))

    def neighbours(self, partitions: int) -> Sequence[str]:
        """See `GrowthLog`."""
        del partitions
        return ()

    def try_growth(self, partitions: int) -> None:
        """See `GrowthLog`."""

    def grow(self, topic: str, partitions: int) -> None:
        """See `GrowthLog`."""
        self._log.grow(topic, partitions)

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """See `GrowthLog`."""
        return self._changelog.read(partitions)

    def frames(self, start: Mapping[int, int]) -> Iterator[Sequence[Record]]:
        """See `GrowthLog`."""
        for number, offset in start.items():
            yield self._log.frames_from(number, offset)

    def members(self) -> Sequence[str]:
        """See `GrowthLog`."""
        return self._log.group.member_ids

    def write(self, outgoing: Sequence[Outgoing]) -> None:
        """See `GrowthLog`."""
        for one in outgoing:
            self._log.write_through(one)

    def commit(self, checkpoint: Checkpoint) -> None:
        """See `GrowthLog`."""
        if self.members():
            raise CannotMoveError(f"the group is at work: {', '.join(self.members())}")
        epoch = self._log.init_producer(OPERATOR)
        self._log.begin(OPERATOR, epoch)
        for part in checkpoint.parts:
            for outgoing in part.outgoing:
                self._log.write(OPERATOR, epoch, outgoing)
        self._log.finish(OPERATOR, epoch, commit=True)

    def close(self) -> None:
        """See `GrowthLog`."""
