"""Restores partitions from the changelog: their offset from the manifest, memory from snapshots."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.config import KEYFRAME_S, Delivery, ForeignState, Start, WorkerConfig
from pipeline.delivery.changelog_checks import (
    fits,
    require_below,
    require_finite,
    require_no_memory,
    usable_keyframes,
)
from pipeline.delivery.identity_check import OwnIdentity, identify, require_new
from pipeline.errors import ForeignStateError, PartitionCountError, ShortLogError
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
    another bundle, `own` which topics and rules its memory must belong to.
    """

    bundle: Bundle
    partitions: int
    group: str
    start: Start
    foreign: ForeignState
    delivery: Delivery
    keyframe_ms: int = round(KEYFRAME_S * 1000)  # see `Rules`
    own: OwnIdentity = field(default_factory=lambda: OwnIdentity(""))

    @classmethod
    def of(cls, config: WorkerConfig, bundle: Bundle, *, partitions: int) -> Self:
        """Return the policy that a worker's settings ask for."""
        return cls(
            bundle,
            partitions,
            config.group,
            config.start,
            config.foreign_state,
            config.delivery,
            round(config.keyframe_s * 1000),
            OwnIdentity(
                config.group, config.topics.by_role, config.rules, changed=config.changed_rules
            ),
        )


def restore(
    number: int,
    changelog: Changelog,
    policy: RestorePolicy,
    *,
    era: int,
    wanted_s: float,
    engine: Engine,
    rows: RowPool,
    remains: str = "",
) -> Partition:
    """Rebuild one partition, and write its streams' tensors into rows of the engine.

    `remains` says what else is left of the group's work if there is no manifest; empty: nothing.
    Raises `PartitionCountError` if the frames topic has another number of partitions than the
    manifest records, `IdentityError` if memory or ledger belong to other topics or rules or are
    lost, `ForeignStateError` if the memory belongs to another bundle and `policy.foreign` does not
    allow that, `ShortLogError` if the frames' log ends before the manifest, and
    `CorruptStateError`.
    """
    found = changelog.records.get(MANIFEST_KEY)
    if found is None:
        require_no_memory(changelog)
        require_new(number, policy.own, remains)
        begin = changelog.log_end if policy.start is Start.LATEST else changelog.log_start
        log.info("partition %d: no manifest, begins at offset %d", number, begin)
        beginning = Manifest.beginning(
            begin, bundle=policy.bundle.digest, partitions=policy.partitions
        )
        beginning = replace(beginning, identity=policy.own.begin(begin, changelog.topic_ids))
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
    identity = identify(number, manifest, policy.own, changelog.topic_ids)
    if manifest.next_offset > changelog.log_end:
        raise ShortLogError(
            f"partition {number}: the frames' log ends at offset {changelog.log_end}, and group"
            f" {policy.group} has finished it up to {manifest.next_offset}"
        )
    keyframes = usable_keyframes(snapshots, manifest, changelog, most_age_ms=policy.keyframe_ms)
    if changelog.log_end <= max(manifest.next_offset, changelog.log_start) and not keyframes:
        manifest = _without_attempt(manifest)
    manifest = replace(manifest, identity=identity)
    partition = Partition(number, era=era, manifest=manifest, wanted_s=wanted_s)
    partition.expire(changelog.log_start)
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
