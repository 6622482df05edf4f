"""Brings partitions back from the changelog: the manifest says where, the snapshots say what."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

from engines.base import Engine, Tensors
from engines.model.bundle import Bundle
from pipeline.broker.contract import ChangelogReader
from pipeline.clock import Clock
from pipeline.config import Delivery, ForeignState, Start
from pipeline.errors import (
    BrokerUnavailableError,
    ForeignStateError,
    PartitionCountError,
)
from pipeline.records import Changelog, Record, Reset
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.wire.changelog import (
    MANIFEST_KEY,
    SKIPS_PREFIX,
    SNAPSHOT_PREFIX,
    Manifest,
    corrupt,
    snapshot_key,
    tombstone,
)
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restoring:
    """How partitions are restored: for which bundle, and what to do where the log disagrees.

    `start` says where a partition without a manifest begins, `foreign` what becomes of another
    bundle's memory.
    """

    bundle: Bundle
    partitions: int
    group: str
    start: Start
    foreign: ForeignState
    delivery: Delivery


class Restorer:
    """Restores the partitions that are wanted, several in one reading. One owner thread.

    Every wish gets an era of its own; a partition that is dropped and wanted again while its
    changelog is being read is read once more.
    """

    def __init__(
        self,
        reader: ChangelogReader,
        how: Restoring,
        *,
        reads: Executor,
        engine: Engine,
        rows: RowPool,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._how = how
        self._reads = reads
        self._engine = engine
        self._rows = rows
        self._clock = clock
        self._era = 0
        self._wanted: dict[int, int] = {}  # partition -> era
        self._since_s: dict[int, float] = {}  # partition -> when it was wanted first
        self._reading: dict[int, int] = {}
        self._task: Future[Mapping[int, Changelog]] | None = None
        self._began_s = 0.0

    @property
    def wanted(self) -> frozenset[int]:
        """The partitions that are still to be restored."""
        return frozenset(self._wanted)

    def want(self, partitions: Iterable[int]) -> None:
        """Restore these, from now on."""
        for number in partitions:
            self._era += 1
            self._wanted[number] = self._era
            self._since_s.setdefault(number, self._clock.monotonic())

    def forget(self, partitions: Iterable[int]) -> None:
        """Restore these no longer."""
        for number in partitions:
            self._wanted.pop(number, None)
            self._since_s.pop(number, None)

    def advance(self, holds: Callable[[int], bool]) -> list[Partition]:
        """Go on without waiting; returns what has been restored since.

        `holds` tells of a partition whether a checkpoint of it is still on its way: it is read
        only afterwards. Raises what `restore` raises, and `RestoreStalledError`.
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
                    self._how,
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
    how: Restoring,
    *,
    era: int,
    wanted_s: float,
    engine: Engine,
    rows: RowPool,
) -> Partition:
    """Rebuild one partition, its streams' tensors in rows of the engine.

    Raises `PartitionCountError` when the topic has grown since the manifest was written,
    `ForeignStateError` when the memory is another bundle's and `how.foreign` is to refuse it, and
    `CorruptStateError`.
    """
    found = changelog.records.get(MANIFEST_KEY)
    if found is None:
        begin = changelog.log_end if how.start is Start.LATEST else changelog.log_start
        log.info("partition %d: no manifest, begins at offset %d", number, begin)
        beginning = Manifest.beginning(begin, bundle=how.bundle.digest, partitions=how.partitions)
        return Partition(number, era=era, manifest=beginning, wanted_s=wanted_s)
    manifest = Manifest.read(found)
    snapshots = [
        _read_snapshot(record, how.bundle)
        for key, record in changelog.records.items()
        if key.startswith(SNAPSHOT_PREFIX)
    ]
    skips = [
        Skips.read(record)
        for key, record in changelog.records.items()
        if key.startswith(SKIPS_PREFIX)
    ]
    if manifest.partitions != how.partitions:
        raise PartitionCountError(
            f"partition {number} of group {how.group} was committed with {manifest.partitions}"
            f" partitions, the frames topic has {how.partitions} now: streams may have moved to"
            " other partitions, where their memory is not. Use a topic of its old size, or start"
            " afresh under another --group"
        )
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
    if how.delivery is Delivery.LOW_LATENCY:
        partition.skip_none_below(changelog.log_end)
    # the skips of frames that retention has deleted: no replay will ask for them
    expired = [told for told in skips if told.ranges[-1][1] < changelog.log_start]
    partition.publish(tombstone(number, told.key) for told in expired)
    streams = _streams(snapshots, how)
    _fill_rows(streams, snapshots, changelog, engine, rows)
    partition.adopt(streams)
    return partition


def _read_snapshot(record: Record, bundle: Bundle) -> Snapshot:
    """Read a snapshot; what says that it is of `bundle` must fit it."""
    snapshot = Snapshot.read(record)
    kept = snapshot.pending_reset is None and snapshot.bundle == bundle.digest
    if kept and not _fits(snapshot.tensors, bundle):
        raise corrupt(record, f"its tensors are not the state of the bundle {bundle.id}")
    return snapshot


def _streams(snapshots: Sequence[Snapshot], how: Restoring) -> list[Stream]:
    streams = []
    for snapshot in snapshots:
        stream = Stream.restore(snapshot)
        if snapshot.bundle != how.bundle.digest and _discard(snapshot, how):
            stream.owe(Reset.BUNDLE)
        streams.append(stream)
    return streams


def _discard(snapshot: Snapshot, how: Restoring) -> bool:
    """Whether another bundle's memory of a stream is thrown away (True) or carried on (False)."""
    if how.foreign is ForeignState.RESET:
        return True
    if how.foreign is ForeignState.CARRY and (
        snapshot.pending_reset is not None or _fits(snapshot.tensors, how.bundle)
    ):
        return False
    raise ForeignStateError(
        f"group {how.group} holds memory of bundle {snapshot.bundle[:8]} (stream"
        f" {snapshot.stream}), this worker runs {how.bundle.id}. Run the old bundle, take another"
        " --group, or say --foreign-state reset to let every stream start afresh, or carry"
        " where names, shapes and types of the state tensors agree"
    )


def _fits(tensors: Tensors, bundle: Bundle) -> bool:
    return len(tensors) == len(bundle.state) and all(
        spec.name in tensors
        and tensors[spec.name].shape == spec.shape
        and tensors[spec.name].dtype == spec.dtype
        for spec in bundle.state
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
    _require_finite([stream for stream, _ in kept], stacked, changelog)
    for stream, _ in kept:
        stream.take_row(rows)
    engine.write(
        [stream.row for stream, _ in kept if stream.row is not None],
        stacked,
    )


def _require_finite(streams: Sequence[Stream], stacked: Tensors, changelog: Changelog) -> None:
    """No worker keeps memory that is not finite: it starts afresh instead."""
    for tensor in stacked.values():  # (S, *shape)
        finite = np.isfinite(tensor).reshape(len(streams), -1).all(axis=1)
        if not finite.all():
            record = changelog.records[snapshot_key(streams[int(finite.argmin())].name)]
            raise corrupt(record, "its tensors hold numbers that are not finite")
