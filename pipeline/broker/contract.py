"""The contract between the worker and the log. Four parts, each used by one thread at a time.

Every method may raise `BrokerUnavailableError` (retry) and `FencedError` (stop) besides what its
docstring names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.records import Changelog, Outgoing, Record, Topics


@dataclass(frozen=True, slots=True)
class Assigned:
    """These partitions are ours now. They are paused until `start`."""

    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Dropped:
    """These partitions are no longer ours: revoked, or lost. Nothing of them may be committed."""

    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """The log no longer holds the offset we wanted to read in these partitions."""

    partitions: frozenset[int]


Event = Assigned | Dropped | OutOfRange


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brought. Events happened before the records and are handled first."""

    events: tuple[Event, ...]
    records: tuple[Record, ...]


class FrameConsumer(Protocol):
    """Our membership in the group, and the frames of our partitions. Owner thread only."""

    def poll(self, timeout_s: float, max_records: int) -> Poll:
        """Wait at most `timeout_s` for events or records. Records are committed ones only."""

    def member(self) -> Member | None:
        """Return who we are in the group, as of the last poll after which nothing was in flux.

        None before the first assignment and after our membership was lost. Call it only when all
        events of the last poll are handled.
        """

    def start(self, partition: int, offset: int) -> None:
        """Read an assigned partition from `offset` on."""

    def position(self, partition: int) -> int | None:
        """Return the offset that is read next; None for a partition that is not read."""

    def pause(self, partitions: Sequence[int]) -> None:
        """Stop reading these for now; polling goes on."""

    def resume(self, partitions: Sequence[int]) -> None:
        """Go on reading these."""

    def close(self) -> None:
        """Leave the group; what was ours is free at once.

        A static member leaves if the worker's `on_stop` says so. Otherwise it only goes silent, and
        the group keeps its partitions for it until the session timeout.
        """


class CheckpointWriter(Protocol):
    """Our transactional producer. Committer thread only."""

    def commit(self, checkpoint: Checkpoint, member: Member) -> None:
        """Write a checkpoint's records and offsets in one transaction, all or nothing.

        Raises `CommitRefusedError` when the group says that `member` is of the past: nothing was
        written. After any other error the outcome is unknown until `renew` and a look at the
        manifests. After any error, `renew` before the next commit.
        """

    def renew(self) -> None:
        """Throw the producer away and make a new one of the same name.

        That ends the old one's open transaction, one way or the other, and fences every other
        process that still uses the name.
        """

    def close(self) -> None:
        """Release it without finishing anything."""


class Outlet(Protocol):
    """Our idempotent producer, for what leaves outside of any transaction. One thread at a time."""

    def publish(self, burst: Sequence[Outgoing]) -> None:
        """Write records in their order, and wait until the log has all of them.

        Raises `BrokerUnavailableError` when some may be missing: publish the same burst again,
        before any other. Records may repeat then; within a partition none overtakes another.
        """

    def close(self) -> None:
        """Release it; what is on its way may still arrive."""


class ChangelogReader(Protocol):
    """Reads the memory of partitions back. One thread at a time."""

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """Read the changelog of partitions from start to the end as of now.

        The end is that of the whole log, open transactions included: the reader waits for what a
        dying worker had in flight. Raises `RestoreStalledError` when that takes too long.
        """

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Return where the frames of partitions end, as far as they can be read (committed)."""

    def close(self) -> None:
        """Close the connection."""


class Broker(Protocol):
    """One log and group, from the point of view of one worker."""

    @property
    def topics(self) -> Topics:
        """The topics' names."""

    def partition_count(self) -> int:
        """Count the partitions of the frames topic.

        Raises `TopicError` when a topic is missing and `PartitionCountError` when frames,
        predictions and state differ.
        """

    def consumer(self) -> FrameConsumer:
        """Join the group."""

    def writer(self) -> CheckpointWriter:
        """Make the transactional producer of our slot; it ends what our predecessor left open."""

    def outlet(self) -> Outlet:
        """Make the producer of what leaves at once."""

    def changelog(self) -> ChangelogReader:
        """Open a reader of the changelog."""
