"""The contract of an operator's access to the log of a group that is to get more partitions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.broker.checkpoint import Checkpoint
from pipeline.records import Changelog, Outgoing, Record, Topics


@dataclass(frozen=True, slots=True)
class PartitionCounts:
    """How many partitions the topics of a group have that are divided like its frames."""

    frames: int
    predictions: int
    state: int


class GrowthLog(Protocol):
    """A group's log, as the command sees it that grows it. It is no member. One thread.

    Every method may raise `BrokerUnavailableError`, and `NotPermittedError`.
    """

    @property
    def topics(self) -> Topics:
        """The topics' names."""

    def counts(self) -> PartitionCounts:
        """Count the partitions. Raises `TopicError` if a topic is missing, or not fit for it."""

    def neighbours(self, partitions: int) -> Sequence[str]:
        """Return the other groups that read our frames, and whose changelogs have fewer partitions.

        Those that our user may not see are left out.
        """

    def try_growth(self, partitions: int) -> None:
        """Let the broker check whether all topics may get this many partitions. Changes nothing.

        Raises `NotPermittedError` if anything that a growth needs is not permitted.
        """

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic this many partitions, and wait until all clients can find them."""

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """Read changelogs of partitions of the frames topic: see `ChangelogReader`."""

    def frames(self, start: Mapping[int, int]) -> Iterator[Sequence[Record]]:
        """Read the frames of partitions, from these offsets up to the present end."""

    def members(self) -> Sequence[str]:
        """Return the members of the group, in words for an operator."""

    def write(self, outgoing: Sequence[Outgoing]) -> None:
        """Write records in order, outside of any transaction, and wait until the log has them."""

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in one transaction, without being a member.

        Raises `CannotMoveError` if workers are in the group.
        """

    def close(self) -> None:
        """Close the connections."""
