"""Commits one frozen checkpoint at a time, and finds out the outcome of a commit that failed.

The owner thread submits a checkpoint and polls for the outcome; two executors do the blocking work.
After an error the outcome of a commit is unknown, so:

    committing --ok--> settled
        | any error
    renewing           a new producer of the same name ends the old transaction, either way
        |
    waiting            for a stable membership; after a refusal, for another generation
        |
    resolving          the manifest in the log decides for each partition's part. It is
                         ours             -> the part was committed
                         one below ours   -> the same bytes are committed again
                         anything else    -> the part is lost: the partition is restored
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from enum import Enum, auto

from pipeline.broker.checkpoint import Checkpoint, Member, PartitionCheckpoint
from pipeline.broker.contract import ChangelogReader, CheckpointWriter
from pipeline.clock import Clock
from pipeline.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    FencedError,
    RetryError,
    StalledError,
)
from pipeline.records import Changelog
from pipeline.wire.changelog import MANIFEST_KEY, Manifest

FENCED_LIMIT = 3
FENCED_WINDOW_S = 60.0
RENEW_PAUSE_S = 0.2
PATIENCE_S = 60.0  # how long to wait for another generation after a refusal


@dataclass(frozen=True, slots=True)
class SettledPart:
    """A part of a checkpoint whose outcome is known: it is in the log, or it is lost."""

    part: PartitionCheckpoint
    committed: bool
    seconds: float  # since it was frozen


class _Stage(Enum):
    IDLE = auto()
    HOLDING = auto()
    COMMITTING = auto()
    RENEWING = auto()
    WAITING = auto()
    RESOLVING = auto()


class Committer:
    """Commits checkpoints. `writes` and `reads` each run one task at a time.

    Raises `FencedError` if its producer is fenced repeatedly: two processes share a slot.
    """

    def __init__(
        self,
        writer: CheckpointWriter,
        reader: ChangelogReader,
        *,
        writes: Executor,
        reads: Executor,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._writes = writes
        self._reads = reads
        self._clock = clock
        self._stage = _Stage.IDLE
        self._checkpoint: Checkpoint | None = None
        self._member: Member | None = None
        self._when: Callable[[], bool] = bool
        self._refused: Member | None = None
        self._task: Future[None] | None = None
        self._manifests: Future[Mapping[int, Changelog]] | None = None
        self._retry_s = 0.0
        self._waiting_s = 0.0
        self._fenced_s: deque[float] = deque(maxlen=FENCED_LIMIT)
        self._aborts: Counter[str] = Counter()
        self._commits = 0

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being committed."""
        return self._stage is not _Stage.IDLE

    @property
    def commit_in_flight(self) -> int | None:
        """The number of the transaction that is being written now; None if there is none."""
        return self._commits if self._stage is _Stage.COMMITTING else None

    def take_aborts(self) -> Counter[str]:
        """Return the count of failed commits since the last call, by the name of the error."""
        aborts, self._aborts = self._aborts, Counter()
        return aborts

    def holds(self, partition: int) -> bool:
        """Whether the checkpoint that is being committed has a part of this partition."""
        return self._checkpoint is not None and any(
            part.partition == partition for part in self._checkpoint.parts
        )

    def submit(self, checkpoint: Checkpoint, member: Member, *, when: Callable[[], bool]) -> None:
        """Commit a checkpoint as soon as `when` returns True. Call it only when not busy."""
        self._checkpoint, self._member, self._when = checkpoint, member, when
        self._stage = _Stage.HOLDING
        self._begin()

    def _begin(self) -> None:
        if self._checkpoint is None or self._member is None or not self._when():
            return
        self._commits += 1
        self._task = self._writes.submit(self._writer.commit, self._checkpoint, self._member)
        self._stage = _Stage.COMMITTING

    def advance(self, member: Member | None, eras: Mapping[int, int]) -> list[SettledPart]:
        """Advance as far as possible without blocking.

        `member` is our current membership (None: not stable), `eras` are the current eras of our
        partitions. Returns the parts whose outcome has become known.
        """
        if self._stage is _Stage.HOLDING:
            self._begin()
        if self._stage is _Stage.COMMITTING:
            return self._after_commit()
        if self._stage is _Stage.RENEWING:
            self._after_renewal()
        if self._stage is _Stage.WAITING and member is not None:
            self._begin_resolving(member)
        if self._stage is _Stage.RESOLVING and member is not None:
            return self._resolve(member, eras)
        return []

    def _parts(self) -> tuple[PartitionCheckpoint, ...]:
        return () if self._checkpoint is None else self._checkpoint.parts

    def _after_commit(self) -> list[SettledPart]:
        if self._task is None or not self._task.done():
            return []
        try:
            self._task.result()
        except CommitRefusedError as exc:
            self._refused = self._member
            self._fail(exc)
        except FencedError as exc:
            self._count_fencing(exc)
            self._fail(exc)
        except RetryError as exc:
            self._fail(exc)
        else:
            settled = [self._settled(part, committed=True) for part in self._parts()]
            self._finish()
            return settled
        return []

    def _fail(self, exc: Exception) -> None:
        self._aborts[type(exc).__name__] += 1
        self._task = self._writes.submit(self._writer.renew)
        self._stage = _Stage.RENEWING

    def _count_fencing(self, exc: FencedError) -> None:
        now = self._clock.monotonic()
        self._fenced_s.append(now)
        if len(self._fenced_s) == FENCED_LIMIT and now - self._fenced_s[0] < FENCED_WINDOW_S:
            raise FencedError(
                f"our producer was fenced {FENCED_LIMIT} times within {FENCED_WINDOW_S:.0f} s:"
                " another process runs under the same --slot; give each its own"
            ) from exc

    def _after_renewal(self) -> None:
        if self._task is None:  # the last try failed; the pause before the next one
            if self._clock.monotonic() >= self._retry_s:
                self._task = self._writes.submit(self._writer.renew)
            return
        if not self._task.done():
            return
        try:
            self._task.result()
        except BrokerUnavailableError:
            self._task, self._retry_s = None, self._clock.monotonic() + RENEW_PAUSE_S
        else:
            self._stage, self._waiting_s = _Stage.WAITING, self._clock.monotonic()

    def _begin_resolving(self, member: Member) -> None:
        refused = self._refused
        if refused is not None and refused == member:
            self._give_up_waiting(member)
            return  # the same claim would be refused again
        self._manifests = self._reads.submit(
            self._reader.read, [part.partition for part in self._parts()]
        )
        self._stage = _Stage.RESOLVING

    def _give_up_waiting(self, member: Member) -> None:
        if self._clock.monotonic() - self._waiting_s > PATIENCE_S:
            raise StalledError(
                f"the group refuses what {member.member_id} commits in generation"
                f" {member.generation}, and for {PATIENCE_S:.0f} s no new generation has come;"
                " ending so that a supervisor starts us afresh"
            )

    def _resolve(self, member: Member, eras: Mapping[int, int]) -> list[SettledPart]:
        if self._checkpoint is None or self._manifests is None or not self._manifests.done():
            return []
        try:
            changelogs = self._manifests.result()
        except BrokerUnavailableError:
            self._stage = _Stage.WAITING
            return []
        settled, again = [], []
        for part in self._parts():
            if eras.get(part.partition) != part.era:
                continue  # no longer ours: its present owner restores it from the log
            found = changelogs[part.partition].records.get(MANIFEST_KEY)
            manifest = None if found is None else Manifest.read(found)
            if manifest is not None and manifest.checkpoint_id == part.manifest.checkpoint_id:
                settled.append(self._settled(part, committed=True))
            elif part.number - 1 == (-1 if manifest is None else manifest.checkpoint):
                again.append(part)
            else:
                settled.append(self._settled(part, committed=False))
        checkpoint, when = replace(self._checkpoint, parts=tuple(again)), self._when
        self._finish()
        if again:
            self.submit(checkpoint, member, when=when)
        return settled

    def _settled(self, part: PartitionCheckpoint, *, committed: bool) -> SettledPart:
        frozen_s = 0.0 if self._checkpoint is None else self._checkpoint.frozen_s
        return SettledPart(part, committed, max(0.0, self._clock.time() - frozen_s))

    def _finish(self) -> None:
        self._stage = _Stage.IDLE
        self._checkpoint = self._task = self._manifests = self._refused = None
