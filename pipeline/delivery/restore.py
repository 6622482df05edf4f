"""Restores partitions from the changelog: their offset from the manifest, memory from snapshots."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.broker.contract import Changelogs
from pipeline.clock import Clock
from pipeline.config import KEYFRAME_S, Delivery, ForeignState, Start
from pipeline.delivery.changelog_checks import (
    fits,
    require_below,
    require_finite,
    require_no_memory,
    usable_keyframes,
)
from pipeline.errors import (
    BrokerUnavailableError,
    ForeignStateError,
    PartitionCountError,
)
from pipeline.records import Changelog, Record, Reset
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.text.printable import printable
from pipeline.wire.changelog import (
    MANIFEST_KEY,
    SKIPS_PREFIX,
    SNAPSHOT_PREFIX,
    Manifest,
    corrupt,
    tombstone,
)
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestorePolicy:
    """How partitions are restored: for which bundle, and what to do if the log disagrees.

    `start` selects where a partition without a manifest begins, `foreign` what happens to memory of
    another bundle.
    """

    bundle: Bundle
    partitions: int
    group: str
    start: Start
    foreign: ForeignState
    delivery: Delivery
    keyframe_ms: int = round(KEYFRAME_S * 1000)  # see `Rules`


class Restorer:
    """Restores the requested partitions, several with one read. One owner thread.

    Each request has an era of its own. If a partition is dropped and requested again while its
    changelog is being read, its changelog is read once more.
    """

    def __init__(
        self,
        reader: Changelogs,
        policy: RestorePolicy,
        *,
        reads: Executor,
        engine: Engine,
        rows: RowPool,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._policy = policy
        self._reads = reads
        self._engine = engine
        self._rows = rows
        self._clock = clock
        self._era = 0
        self._wanted: dict[int, int] = {}  # partition -> era
        self._since_s: dict[int, float] = {}  # partition -> time of its first request
        self._reading: dict[int, int] = {}
        self._task: Future[Mapping[int, Changelog]] | None = None
        self._began_s = 0.0

    @property
    def wanted(self) -> frozenset[int]:
        """The partitions that are still to be restored."""
        return frozenset(self._wanted)

    def want(self, partitions: Iterable[int]) -> None:
        """Request the restore of these partitions, each with a new era."""
        for number in partitions:
            self._era += 1
            self._wanted[number] = self._era
            self._since_s.setdefault(number, self._clock.monotonic())

    def forget(self, partitions: Iterable[int]) -> None:
        """Withdraw the requests for these partitions."""
        for number in partitions:
            self._wanted.pop(number, None)
            self._since_s.pop(number, None)

    def advance(self, holds: Callable[[int], bool]) -> list[Partition]:
        """Advance without blocking. Returns the partitions restored since the last call.

        `holds` returns whether a checkpoint of a partition is still being committed; the partition
        is read only afterwards. Raises what `restore` raises, and `RestoreStalledError`.
        """
        restored = self._finish() if self._task is not None and self._task.done() else []
        if self._task is None:
            self._reading = {n: era for n, era in self._wanted.items() if not holds(n)}
            if self._reading:
                self._began_s = self._clock.monotonic()
                self._task = self._reads.submit(self._reader.read, sorted(self._reading))
        return restored

    def _finish(self) -> list[Partition]:
        task, self._task = self._task, None
        try:
            changelogs = {} if task is None else task.result()
        except BrokerUnavailableError as exc:
            log.warning("restoring partitions %s: %s; trying again", sorted(self._reading), exc)
            return []
        partitions = []
        for number, era in self._reading.items():
            if self._wanted.get(number) == era:
                del self._wanted[number]
                partition = restore(
                    number,
                    changelogs[number],
                    self._policy,
                    era=era,
                    wanted_s=self._since_s.pop(number),
                    engine=self._engine,
                    rows=self._rows,
                )
                partitions.append(partition)
        if partitions:
            log.info(
                "restored partitions %s with %d streams in %.2f s",
                [p.number for p in partitions],
                sum(len(p.streams) for p in partitions),
                self._clock.monotonic() - self._began_s,
            )
        return partitions


def restore(
    number: int,
    changelog: Changelog,
    policy: RestorePolicy,
    *,
    era: int,
    wanted_s: float,
    engine: Engine,
    rows: RowPool,
) -> Partition:
    """Rebuild one partition, and write its streams' tensors into rows of the engine.

    Raises `PartitionCountError` if the frames topic has another number of partitions than the
    manifest records, `ForeignStateError` if the memory belongs to another bundle and
    `policy.foreign` does not allow that, and `CorruptStateError`.
    """
    found = changelog.records.get(MANIFEST_KEY)
    if found is None:
        require_no_memory(changelog)
        begin = changelog.log_end if policy.start is Start.LATEST else changelog.log_start
        log.info("partition %d: no manifest, begins at offset %d", number, begin)
        beginning = Manifest.beginning(
            begin, bundle=policy.bundle.digest, partitions=policy.partitions
        )
        return Partition(number, era=era, manifest=beginning, wanted_s=wanted_s)
    manifest = Manifest.read(found)
    snapshots = [
        _read_snapshot(record, policy.bundle)
        for key, record in changelog.records.items()
        if key.startswith(SNAPSHOT_PREFIX)
    ]
    skips = [
        Skips.read(record)
        for key, record in changelog.records.items()
        if key.startswith(SKIPS_PREFIX)
    ]
    require_below(manifest, snapshots, skips, changelog)
    if manifest.partitions != policy.partitions:
        raise PartitionCountError(
            f"partition {number} of group {policy.group} was committed with {manifest.partitions}"
            f" partitions, the frames topic has {policy.partitions} now: streams may have moved to"
            " other partitions, where their memory is not. Use a topic of its old size, or start"
            " afresh under another --group"
        )
    keyframes = usable_keyframes(snapshots, manifest, changelog, most_age_ms=policy.keyframe_ms)
    if changelog.log_end <= max(manifest.next_offset, changelog.log_start) and not keyframes:
        manifest = _without_attempt(manifest)
    partition = Partition(number, era=era, manifest=manifest, wanted_s=wanted_s)
    partition.expire(changelog.log_start)
    if partition.next_offset > changelog.log_end:
        log.warning(
            "partition %d: the manifest's next offset %d is beyond the log's end %d: was the topic"
            " made anew? Waiting for the log to get there; another --group starts afresh",
            number,
            partition.next_offset,
            changelog.log_end,
        )
    if partition.suspect(changelog.log_end):
        log.warning(
            "partition %d: attempt %d at offset %d; %d workers ended before they got beyond it."
            " The frames below offset %d are decoded in a child process",
            number,
            partition.attempts,
            partition.next_offset,
            partition.attempts - 1,
            partition.suspects_end,
        )
    if policy.delivery is Delivery.LOW_LATENCY:
        partition.forbid_skips_below(changelog.log_end)
    # no replay needs the skips of frames that retention has deleted
    expired = [record for record in skips if record.ranges[-1][1] < changelog.log_start]
    partition.publish(tombstone(number, record.key) for record in expired)
    streams = _streams(snapshots, policy)
    _fill_rows(streams, snapshots, changelog, engine, rows)
    partition.adopt(streams)
    partition.prime(keyframes)
    return partition


def _without_attempt(manifest: Manifest) -> Manifest:
    """Return the manifest with one attempt less: there is no record that its worker failed at.

    Without that, workers that were started and stopped while no frames came would count as failed.
    """
    return replace(manifest, attempts=max(0, manifest.attempts - 1))


def _read_snapshot(record: Record, bundle: Bundle) -> Snapshot:
    """Read a snapshot. Its tensors must fit `bundle` if it names that bundle's digest."""
    snapshot = Snapshot.read(record)
    kept = snapshot.pending_reset is None and snapshot.bundle == bundle.digest
    if kept and not fits(snapshot.tensors, bundle):
        raise corrupt(record, f"its tensors are not the state of the bundle {bundle.id}")
    return snapshot


def _streams(snapshots: Sequence[Snapshot], policy: RestorePolicy) -> list[Stream]:
    streams = []
    for snapshot in snapshots:
        stream = Stream.restore(snapshot)
        if snapshot.bundle != policy.bundle.digest and _discard(snapshot, policy):
            stream.require_reset(Reset.BUNDLE)
        streams.append(stream)
    return streams


def _discard(snapshot: Snapshot, policy: RestorePolicy) -> bool:
    """Return whether another bundle's memory of a stream is discarded (True) or kept (False)."""
    if policy.foreign is ForeignState.RESET:
        return True
    if policy.foreign is ForeignState.CARRY and (
        snapshot.pending_reset is not None or fits(snapshot.tensors, policy.bundle)
    ):
        return False
    raise ForeignStateError(
        f"group {policy.group} holds memory of bundle {printable(snapshot.bundle[:8])} (stream"
        f" {snapshot.stream}), this worker runs {policy.bundle.id}. Run the old bundle, take"
        " another --group, or say --foreign-state reset to let every stream start afresh, or carry"
        " where names, shapes and types of the state tensors agree"
    )


def _fill_rows(
    streams: Sequence[Stream],
    snapshots: Sequence[Snapshot],
    changelog: Changelog,
    engine: Engine,
    rows: RowPool,
) -> None:
    kept = [
        (stream, snapshot.tensors)
        for stream, snapshot in zip(streams, snapshots, strict=True)
        if stream.pending_reset is None
    ]
    if not kept:
        return
    stacked = {name: np.stack([tensors[name] for _, tensors in kept]) for name in kept[0][1]}
    require_finite([stream for stream, _ in kept], stacked, changelog)
    for stream, _ in kept:
        stream.take_row(rows)
    engine.write(
        [stream.row for stream, _ in kept if stream.row is not None],
        stacked,
    )
