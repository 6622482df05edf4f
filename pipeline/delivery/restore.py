"""Restores partitions from the changelog: their offset from the manifest, memory from snapshots."""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.broker.contract import ChangelogReader
from pipeline.clock import Clock
from pipeline.config import KEYFRAME_S, Delivery, ForeignState, Start
from pipeline.delivery.changelog_checks import (
    require_below,
    require_count,
    require_expected,
    require_no_memory,
    usable_keyframes,
)
from pipeline.delivery.memories import fill_rows, read_snapshots, streams_of
from pipeline.errors import BrokerUnavailableError
from pipeline.records import Changelog
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.changelog import MANIFEST_KEY, SKIPS_PREFIX, Manifest, tombstone
from pipeline.wire.growths.growth import awaited, growths
from pipeline.wire.growths.moved_stream import moved_streams
from pipeline.wire.skips import Skips

log = logging.getLogger(__name__)

LOOK_S = 5.0  # between two readings of the changelogs of partitions that are held


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
        reader: ChangelogReader,
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
        self._held: dict[int, int] = {}  # partition -> era
        self.failing = False  # whether the last reading of changelogs has failed
        self._looked_s = 0.0  # when the changelogs of held partitions were last read

    @property
    def wanted(self) -> frozenset[int]:
        """The partitions that are still to be restored, without those that are held."""
        return frozenset(self._wanted)

    @property
    def held(self) -> frozenset[int]:
        """The new partitions that wait until `longtake topics grow` has moved streams there."""
        return frozenset(self._held)

    def want(self, partitions: Iterable[int]) -> None:
        """Request the restore of these partitions, each with a new era."""
        for number in partitions:
            self._era += 1
            self._wanted[number] = self._era
            self._held.pop(number, None)
            self._since_s.setdefault(number, self._clock.monotonic())

    def forget(self, partitions: Iterable[int]) -> None:
        """Withdraw the requests for these partitions."""
        for number in partitions:
            self._wanted.pop(number, None)
            self._held.pop(number, None)
            self._since_s.pop(number, None)

    def advance(self, holds: Callable[[int], bool]) -> list[Partition]:
        """Advance without blocking. Returns the partitions restored since the last call.

        `holds` returns whether a checkpoint of a partition is still being committed; the partition
        is read only afterwards. Raises what `restore` raises, and `RestoreStalledError`.
        """
        restored = self._finish() if self._task is not None and self._task.done() else []
        if self._task is None:
            self._reading = {n: era for n, era in self._wanted.items() if not holds(n)}
            self._reading |= self._due()
            if self._reading:
                self._began_s = self._clock.monotonic()
                self._task = self._reads.submit(self._reader.read, sorted(self._reading))
        return restored

    def _due(self) -> dict[int, int]:
        """Return the held partitions if it is time to look whether they may begin."""
        now_s = self._clock.monotonic()
        if not self._held or now_s - self._looked_s < LOOK_S:
            return {}
        self._looked_s = now_s
        return dict(self._held)

    def _hold(self, number: int, era: int) -> None:
        if number not in self._held:
            log.warning(
                "partition %d is new: waits for `longtake topics grow` to move streams there",
                number,
            )
        self._held[number] = era
        self._looked_s = self._since_s[number] = self._clock.monotonic()

    def _finish(self) -> list[Partition]:
        task, self._task = self._task, None
        try:
            changelogs = {} if task is None else task.result()
        except BrokerUnavailableError as exc:
            log.warning("restoring partitions %s: %s; trying again", sorted(self._reading), exc)
            self.failing = True
            return []
        self.failing = False
        partitions = []
        for number, era in self._reading.items():
            if era in (self._wanted.get(number), self._held.get(number)):
                partition = restore(
                    number,
                    changelogs[number],
                    self._policy,
                    era=era,
                    wanted_s=self._since_s[number],
                    engine=self._engine,
                    rows=self._rows,
                )
                self._wanted.pop(number, None)
                if partition is None:
                    self._hold(number, era)
                else:
                    self.forget([number])
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
) -> Partition | None:
    """Rebuild one partition, and write its streams' tensors into rows of the engine.

    None if streams are to be moved there first, by a growth that is not finished. Raises
    `PartitionCountError` if the frames topic has another number of partitions than the manifest
    records, and no growth made it so, `ForeignStateError` if memory belongs to another bundle and
    `policy.foreign` does not allow that, and `CorruptStateError`.
    """
    found, grown = changelog.records.get(MANIFEST_KEY), growths(changelog)
    if found is None:
        require_no_memory(changelog)
        if awaited(grown, number) is not None:
            return None
        require_expected(number, policy.group, present=policy.partitions)
        begin = changelog.log_end if policy.start is Start.LATEST else changelog.log_start
        log.info("partition %d: no manifest, begins at offset %d", number, begin)
        beginning = Manifest.beginning(
            begin, bundle=policy.bundle.digest, partitions=policy.partitions
        )
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
