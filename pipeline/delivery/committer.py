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


@dataclass(frozen=True, slots=True)
class _Order:
    """A checkpoint to commit: as which member, and not before `when` returns True."""

    checkpoint: Checkpoint
    member: Member
    when: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Holding:
    order: _Order


@dataclass(frozen=True, slots=True)
class _Committing:
    order: _Order
    commit: Future[None]


@dataclass(frozen=True, slots=True)
class _Renewing:
    order: _Order
    refused: Member | None  # as whom the commit was refused, if it was
    renewal: Future[None]


@dataclass(frozen=True, slots=True)
class _Pausing:
    """The last renewal failed; the next one begins at `retry_s`."""

    order: _Order
    refused: Member | None
    retry_s: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    order: _Order
    refused: Member | None
    since_s: float


@dataclass(frozen=True, slots=True)
class _Resolving:
    waited: _Waiting  # to go back to if the manifests cannot be read
    manifests: Future[Mapping[int, Changelog]]

    @property
    def order(self) -> _Order:
        return self.waited.order


_Stage = _Holding | _Committing | _Renewing | _Pausing | _Waiting | _Resolving


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
        self._stage: _Stage | None = None  # None: idle
        self._fenced_s: deque[float] = deque(maxlen=FENCED_LIMIT)
        self._aborts: Counter[str] = Counter()
        self._commits = 0
        self._submitted = 0
        self.failure: Exception | None = None  # why the present checkpoint is not committed yet

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being committed."""
        return self._stage is not None

    @property
    def commit_in_flight(self) -> int | None:
        """The number of the transaction that is being written now; None if there is none."""
        return self._commits if isinstance(self._stage, _Committing) else None

    @property
    def pending(self) -> int | None:
        """The number of the checkpoint that is to be committed, however often; None if idle."""
        return None if self._stage is None else self._submitted

    def take_aborts(self) -> Counter[str]:
        """Return the count of failed commits since the last call, by the name of the error."""
        aborts, self._aborts = self._aborts, Counter()
        return aborts

    def holds(self, partition: int) -> bool:
        """Whether the checkpoint that is being committed has a part of this partition."""
        return self._stage is not None and any(
            part.partition == partition for part in self._stage.order.checkpoint.parts
        )

    def submit(self, checkpoint: Checkpoint, member: Member, *, when: Callable[[], bool]) -> None:
        """Commit a checkpoint as soon as `when` returns True. Call it only when not busy."""
        self._submitted += 1
        self._hold(_Order(checkpoint, member, when))

    def _hold(self, order: _Order) -> None:
        holding = _Holding(order)
        self._stage = holding
        self._begin(holding)

    def advance(self, member: Member | None, eras: Mapping[int, int]) -> list[SettledPart]:
        """Advance as far as possible without blocking.

        `member` is our current membership (None: not stable), `eras` are the current eras of our
        partitions. Returns the parts whose outcome has become known.
        """
        if isinstance(self._stage, _Holding):
            self._begin(self._stage)
        if isinstance(self._stage, _Committing):
            return self._after_commit(self._stage)
        if isinstance(self._stage, _Renewing):
            self._after_renewal(self._stage)
        elif isinstance(self._stage, _Pausing):
            self._after_pause(self._stage)
        if isinstance(self._stage, _Waiting) and member is not None:
            self._begin_resolving(self._stage, member)
        if isinstance(self._stage, _Resolving) and member is not None:
            return self._resolve(self._stage, member, eras)
        return []

    def _begin(self, stage: _Holding) -> None:
        order = stage.order
        if not order.when():
            return
        self._commits += 1
        commit = self._writes.submit(self._writer.commit, order.checkpoint, order.member)
        self._stage = _Committing(order, commit)

    def _after_commit(self, stage: _Committing) -> list[SettledPart]:
        order = stage.order
        if not stage.commit.done():
            return []
        try:
            stage.commit.result()
        except CommitRefusedError as exc:
            self._fail(order, exc, refused=order.member)
        except FencedError as exc:
            self._count_fencing(exc)
            self._fail(order, exc, refused=None)
        except RetryError as exc:
            self._fail(order, exc, refused=None)
        else:
            self._stage, self.failure = None, None
            parts = order.checkpoint.parts
            return [self._settled(order, part, committed=True) for part in parts]
        return []

    def _fail(self, order: _Order, exc: Exception, *, refused: Member | None) -> None:
        self.failure = exc
        self._aborts[type(exc).__name__] += 1
        self._renew(order, refused)

    def _renew(self, order: _Order, refused: Member | None) -> None:
        self._stage = _Renewing(order, refused, self._writes.submit(self._writer.renew))

    def _count_fencing(self, exc: FencedError) -> None:
        now = self._clock.monotonic()
        self._fenced_s.append(now)
        if len(self._fenced_s) == FENCED_LIMIT and now - self._fenced_s[0] < FENCED_WINDOW_S:
            raise FencedError(
                f"our producer was fenced {FENCED_LIMIT} times within {FENCED_WINDOW_S:.0f} s:"
                " another process runs under the same --slot; give each its own"
            ) from exc

    def _after_renewal(self, stage: _Renewing) -> None:
        if not stage.renewal.done():
            return
        now_s = self._clock.monotonic()
        try:
            stage.renewal.result()
        except BrokerUnavailableError as exc:
            self.failure = exc
            self._stage = _Pausing(stage.order, stage.refused, now_s + RENEW_PAUSE_S)
        else:
            self._stage = _Waiting(stage.order, stage.refused, now_s)

    def _after_pause(self, stage: _Pausing) -> None:
        if self._clock.monotonic() >= stage.retry_s:
            self._renew(stage.order, stage.refused)

    def _begin_resolving(self, stage: _Waiting, member: Member) -> None:
        if stage.refused is not None and stage.refused == member:
            self._give_up_waiting(stage, member)
            return  # the same claim would be refused again
        numbers = [part.partition for part in stage.order.checkpoint.parts]
        self._stage = _Resolving(stage, self._reads.submit(self._reader.read, numbers))

    def _give_up_waiting(self, stage: _Waiting, member: Member) -> None:
        if self._clock.monotonic() - stage.since_s > PATIENCE_S:
            raise StalledError(
                f"the group refuses what {member.member_id} commits in generation"
                f" {member.generation}, and for {PATIENCE_S:.0f} s no new generation has come;"
                " ending so that a supervisor starts us afresh"
            )

    def _resolve(
        self, stage: _Resolving, member: Member, eras: Mapping[int, int]
    ) -> list[SettledPart]:
        order = stage.order
        if not stage.manifests.done():
            return []
        try:
            changelogs = stage.manifests.result()
        except BrokerUnavailableError as exc:
            self.failure = exc
            self._stage = stage.waited
            return []
        settled, again = [], []
        for part in order.checkpoint.parts:
            if eras.get(part.partition) != part.era:
                continue  # no longer ours: its present owner restores it from the log
            found = changelogs[part.partition].records.get(MANIFEST_KEY)
            manifest = None if found is None else Manifest.read(found)
            if manifest is not None and manifest.checkpoint_id == part.manifest.checkpoint_id:
                settled.append(self._settled(order, part, committed=True))
            elif part.number - 1 == (-1 if manifest is None else manifest.checkpoint):
                again.append(part)
            else:
                settled.append(self._settled(order, part, committed=False))
        self._stage = None
        if again:
            checkpoint = replace(order.checkpoint, parts=tuple(again))
            self._hold(_Order(checkpoint, member, order.when))
        else:
            self.failure = None
        return settled

    def _settled(self, order: _Order, part: PartitionCheckpoint, *, committed: bool) -> SettledPart:
        seconds = self._clock.time() - order.checkpoint.frozen_s
        return SettledPart(part, committed, max(0.0, seconds))
