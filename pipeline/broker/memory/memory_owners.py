"""Claims on the output topics of a log in memory."""

from pipeline.broker.memory.log import MemoryLog
from pipeline.broker.owners import Owners


class MemoryOwners:
    """See `TopicOwners`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def read(self) -> Owners:
        """See `TopicOwners`."""
        return self._log.owners()

    def claim(self, group: str, seen: Owners) -> Owners:
        """See `TopicOwners`."""
        return self._log.claim(group, seen)

    def close(self) -> None:
        """See `TopicOwners`."""
