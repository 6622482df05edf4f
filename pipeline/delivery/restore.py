"""Restores partitions from the changelog: their offset from the manifest, memory from snapshots."""

import logging
from dataclasses import dataclass, field, replace
from typing import Self

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.config import KEYFRAME_S, Delivery, ForeignState, Start, WorkerConfig
from pipeline.delivery.memories import fill_rows, read_snapshots, streams_of
from pipeline.delivery.memory_checks.changelog_checks import (
    require_below,
    require_count,
    require_expected,
    require_no_memory,
    usable_keyframes,
)
from pipeline.delivery.memory_checks.identity_check import OwnIdentity, identify
from pipeline.delivery.memory_checks.remains_check import require_new
from pipeline.errors import ShortLogError
from pipeline.records import Changelog
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.belongings.remains import NOTHING_LEFT, Remains
from pipeline.wire.changelog import MANIFEST_KEY, SKIPS_PREFIX, Manifest, tombstone
from pipeline.wire.growths.growth import awaited, growths
from pipeline.wire.growths.moved_stream import moved_streams
from pipeline.wire.skips import Skips

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
    remains: Remains = NOTHING_LEFT,
) -> Partition | None:
    """Rebuild one partition, and write its streams' tensors into rows of the engine.

    None if streams are to be moved there first, by a growth that is not finished. `remains` is what
    is left of the group's work if there is no manifest. Raises `PartitionCountError` if the frames
    topic has another number of partitions than the manifest records, and no growth made it so,
    `IdentityError` if memory or ledger belong to other topics or rules or are lost,
    `ForeignStateError` if memory belongs to another bundle and `policy.foreign` does not allow
    that, `ShortLogError` if the frames' log ends before the manifest, and `CorruptStateError`.
    """
    found, grown = changelog.records.get(MANIFEST_KEY), growths(changelog)
    if found is None:
        require_no_memory(changelog)
        if awaited(grown, number) is not None:
            return None
        require_expected(number, policy.group, present=policy.partitions)
        require_new(number, policy.own, remains)
        begin = changelog.log_end if policy.start is Start.LATEST else changelog.log_start
        log.info("partition %d: no manifest, begins at offset %d", number, begin)
        beginning = Manifest.beginning(
            begin, bundle=policy.bundle.digest, partitions=policy.partitions
        )
        beginning = replace(beginning, identity=policy.own.begin(begin, changelog.topic_ids))
        return Partition(number, era=era, manifest=beginning, wanted_s=wanted_s)
    manifest = Manifest.read(found)
    snapshots = read_snapshots(changelog, policy.bundle)
    skips = [
        Skips.read(record)
        for key, record in changelog.records.items()
        if key.startswith(SKIPS_PREFIX)
    ]
    require_below(manifest, snapshots, skips, changelog)
    committed, present = manifest.partitions, policy.partitions
    require_count(number, policy.group, committed=committed, present=present, grown=grown)
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
    # no replay needs the skips of frames that retention has deleted, nor where streams went then
    expired = [record.key for record in skips if record.ranges[-1][1] < changelog.log_start]
    moved = moved_streams(changelog).values()
    expired += [one.key for one in moved if max(0, one.offset) < changelog.log_start]
    partition.publish(tombstone(number, key) for key in expired)
    streams = streams_of(snapshots, policy.bundle, policy.foreign, group=policy.group)
    fill_rows(streams, snapshots, changelog, engine, rows)
    partition.adopt(streams, moved)
    partition.prime(keyframes)
    return partition


def _without_attempt(manifest: Manifest) -> Manifest:
    """Return the manifest with one attempt less: there is no record that its worker failed at.

    Without that, workers that were started and stopped while no frames came would count as failed.
    """
    return replace(manifest, attempts=max(0, manifest.attempts - 1))
