"""The contract between the worker and the log. Four parts, each used by one thread at a time.

Every method may raise `BrokerUnavailableError` (retry) and `FencedError` (stop) besides what its
docstring names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.outlet import Outlet
from pipeline.broker.owners import TopicOwners
from pipeline.records import Changelog, Destination, Record, Topics


@dataclass(frozen=True, slots=True)
class Assigned:
    """These partitions are ours now. They are paused until `start`."""

    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Dropped:
    """These partitions are no longer ours: revoked or lost. Commit nothing of them any more."""

    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """The log no longer holds the offset we wanted to read in these partitions."""

    partitions: frozenset[int]


Event = Assigned | Dropped | OutOfRange


@dataclass(frozen=True, slots=True)
class Poll:
    """The result of one poll. Events happened before the records and are handled first."""

    events: tuple[Event, ...]
    records: tuple[Record, ...]


class FrameConsumer(Protocol):
    """Our membership in the group, and the frames of our partitions. Owner thread only."""

    def poll(self, timeout_s: float, max_records: int) -> Poll:
        """Wait at most `timeout_s` for events or records. Records are committed ones only."""

    def member(self) -> Member | None:
        """Return our membership, as of the last poll at which the group was stable.

        None before the first assignment and after our membership was lost. Call it only when all
        events of the last poll are handled.
        """

    def delay_joins(self, *, delayed: bool) -> None:
        """Delay our next join, for a second at most, while a commit is on its way.

        When all members have joined, the group has another generation, and refuses what is
        committed in this one.
        """

    def is_joining(self) -> bool:
        """Return whether a join is on its way: what is committed now would probably be refused.

        Not for longer than a healthy group takes: while one waits for a member that is stuck, it
        takes what is committed.
        """

    def group_answers(self) -> int:
        """Count the answers of the group so far. A member gets some in each session timeout."""

    def start(self, partition: int, offset: int) -> None:
        """Read an assigned partition from `offset` on."""

    def position(self, partition: int) -> int | None:
        """Return the offset to be read next; None for a partition that is not read."""

    def pause(self, partitions: Sequence[int]) -> None:
        """Stop reading these partitions for now. Polling goes on."""

    def resume(self, partitions: Sequence[int]) -> None:
        """Continue reading these partitions."""

    def close(self) -> None:
        """Leave the group, which may assign our partitions to others at once.

        A static member leaves only if the worker's `on_stop` is `leave`. Otherwise it only stops
        its heartbeats, and the group keeps its partitions for it until the session timeout.
        """


class CheckpointWriter(Protocol):
    """Our transactional producer. Committer thread only."""

    def commit(self, checkpoint: Checkpoint, member: Member) -> None:
        """Write a checkpoint's records and offsets in one transaction, all or nothing.

        Raises `CommitRefusedError` if `member` is not a current member of the group: nothing was
        written. Raises `CommitTimedOutError` if the broker aborted the transaction, which took
        longer than the transaction timeout. After any other error the outcome is unknown: call
        `renew`, then read the manifests. After any error, call `renew` before the next commit.
        """

    def renew(self) -> None:
        """Discard the producer and make a new one of the same name.

        That commits or aborts the old one's open transaction, and fences every other process that
        still uses the name.
        """

    def close(self) -> None:
        """Release it without finishing anything."""


class Changelogs(Protocol):
    """The changelogs of partitions. One thread at a time."""

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """Read the changelogs of partitions from the start to their present end.

        The end includes open transactions: the reader waits until the transaction that a dead
        worker left open is committed or aborted. Raises `RestoreStalledError` if that takes too
        long.
        """


class OwnChangelogs(Changelogs, Protocol):
    """The changelogs of partitions of our group, and its offsets. One thread at a time."""

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Return the group's committed offsets of the frames, of the partitions that have one.

        Those of a transaction can be missing for a moment after it has been committed.
        """

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        """Return the newest committed records of each of these partitions, `most` of each at most.

        Those of a partition are in the log's order. One that does not exist, or holds no record,
        has none. Waits like `read` for an open transaction, and raises the same.
        """


class ChangelogReader(OwnChangelogs, Protocol):
    """Reads changelogs, and what else a worker has to know of the log. One thread at a time."""

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Return the ends of the committed frames of partitions."""

    def topic_ids(self) -> Mapping[str, str]:
        """Return the ids of the group's topics now, by role: see `Topics.by_role`.

        A topic that is made anew has another id. Those that are missing, that our user may not see,
        or to which the broker gives no id are left out.
        """

    def close(self) -> None:
        """Close the connection."""


class Broker(Protocol):
    """One worker's access to the log and the group."""

    @property
    def topics(self) -> Topics:
        """The topics' names."""

    def partition_count(self) -> int:
        """Count the partitions of the frames topic.

        Raises `TopicError` if a topic is missing and `PartitionCountError` if predictions or state
        have fewer. They have more while a growth has not reached the frames topic yet.
        """

    def consumer(self) -> FrameConsumer:
        """Join the group."""

    def writer(self) -> CheckpointWriter:
        """Make the transactional producer of our slot, which ends its predecessor's transaction."""

    def outlet(self) -> Outlet:
        """Make the producer for records outside of any transaction."""

    def changelog(self) -> ChangelogReader:
        """Open a reader of the changelog."""

    def owners(self) -> TopicOwners:
        """Give access to the claims on the output topics."""
