"""Gives a group more partitions, and moves each stream's memory to where its key then belongs.

Each step can be interrupted, and the whole begun again: what is done is found in the log.

1. Every partition's changelog gets a mark, before the frames topic has more partitions: no worker
   begins a new partition that is marked and not moved to. The frames topic is the last to grow.
2. Producers learn of the new partitions when their metadata is renewed. Until then they write moved
   streams where they were. The order of a stream is old partition first, so workers finish those
   records while the new partitions wait.
3. Without members in the group, one transaction for each new partition moves its streams. A stream
   is remembered in exactly one partition before and after each of them. A record that comes into
   its old partition even later is dead-lettered there with the reason `moved`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.broker.growth_log import GrowthLog, PartitionCounts
from pipeline.clock import Clock
from pipeline.errors import CannotMoveError, ConfigError
from pipeline.judging.growing import (
    StaleRecord,
    move_streams,
    moving,
    require_begun,
    require_placed,
    stale,
    staying,
    unfinished,
)
from pipeline.records import Changelog
from pipeline.wire.changelog import MANIFEST_KEY, SNAPSHOT_PREFIX, Manifest
from pipeline.wire.growths.growth import Growth, growth_key


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """A growth that is possible. `streams` of them all, `moving` have new partitions."""

    growth: Growth
    resumed: bool  # an earlier command has begun it
    finished: bool  # an earlier command has finished it
    streams: int
    moving: int


@dataclass(frozen=True, slots=True)
class Drained:
    """How far the old partitions are drained of streams that move.

    `stale` are the newest records of those streams there, by partition. `quiet_s`: seconds since
    one came, or since the watch began. `unread`: how many offsets up to them no worker has
    finished; it is looked up once it is quiet.
    """

    stale: Mapping[int, StaleRecord]
    quiet_s: float
    watched_s: float
    unread: Mapping[int, int]
    done: bool


@dataclass(frozen=True, slots=True)
class FilledPartition:
    """A new partition that has begun, with streams that were moved to it."""

    partition: int
    source: int
    streams: int
    stayed: tuple[str, ...]  # streams of the source that belong to neither


class GroupGrowth:
    """One growth of one group to `partitions`. Call its methods in their order. One thread."""

    def __init__(
        self, log: GrowthLog, *, group: str, partitions: int, ttl_ms: int, clock: Clock
    ) -> None:
        self._log = log
        self._group = group
        self._partitions = partitions
        self._ttl_ms = ttl_ms
        self._clock = clock
        self._read_to: dict[int, int] = {}  # where the watch of an old partition goes on
        self._stale: dict[int, StaleRecord] = {}
        self._began_s = self._stale_s = 0.0

    def check(self, *, only_prepare: bool) -> GrowthPlan:
        """See that the growth is possible, and whether it has begun. Changes nothing.

        Unless `only_prepare`, all other groups that read the frames must be prepared. Raises
        `ConfigError` and `CannotMoveError`.
        """
        counts = self._log.counts()
        changelogs = self._log.read(range(min(counts.frames, counts.state)))
        growth = self._begun(changelogs)
        resumed = growth is not None
        if growth is None:
            growth = self._wanted(counts)
            old = {n: changelogs[n] for n in range(growth.before)}
            require_begun(old, group=self._group)
            require_placed(old, growth.before, group=self._group, ttl_ms=self._ttl_ms)
        old = {n: changelogs[n] for n in range(growth.before)}
        if not only_prepare and counts.frames < growth.after:
            self._require_neighbours()
        self._log.try_growth(growth.after)
        streams = sum(len(_streams(changelog)) for changelog in old.values())
        leaving = (moving(changelog, n, growth) for n, changelog in old.items())
        return GrowthPlan(
            growth,
            resumed,
            finished=resumed and not unfinished(changelogs),
            streams=streams,
            moving=sum(len(to) for found in leaving for to in found.values()),
        )

    def _begun(self, changelogs: Mapping[int, Changelog]) -> Growth | None:
        """Return this growth if it has begun. Raises `CannotMoveError` if another one has."""
        others = [one for one in unfinished(changelogs) if one.after != self._partitions]
        if others:
            one = others[0]
            raise CannotMoveError(
                f"the growth of group {self._group} from {one.before} to {one.after} partitions is"
                f" not finished: `longtake topics grow --partitions {one.after}` continues it"
            )
        key = growth_key(self._partitions)
        marks = [c.records[key] for c in changelogs.values() if key in c.records]
        return Growth.read(marks[0]) if marks else None

    def _wanted(self, counts: PartitionCounts) -> Growth:
        """Return the growth from today's counts. Raises `ConfigError` if they do not allow it."""
        before, after = min(counts.frames, counts.predictions, counts.state), self._partitions
        shown = f"frames {counts.frames}, predictions {counts.predictions}, state {counts.state}"
        if after <= before:
            raise ConfigError(
                f"--partitions {after}: there are {before} already; Kafka removes none"
            )
        if after % before:
            below = after - after % before
            nearest = [str(n) for n in (below, below + before) if n > before]
            raise ConfigError(
                f"--partitions {after}: wanted a multiple of the present {before}, such as"
                f" {' or '.join(nearest)}. Of any other count, streams would also move between the"
                " old partitions, whose frames are being read"
            )
        if not {counts.frames, counts.predictions, counts.state} <= {before, after}:
            raise ConfigError(
                f"--partitions {after}: the topics have different counts ({shown}); wanted {before}"
                f" or {after} of each"
            )
        return Growth(before, after, round(self._clock.time() * 1000))

    def _require_neighbours(self) -> None:
        others = self._log.neighbours(self._partitions)
        if others:
            raise CannotMoveError(
                f"{', '.join(others)} read {self._log.topics.frames} too, and workers without the"
                f" mark of a growth stop (exit 12): first run `longtake topics grow --partitions"
                f" {self._partitions} --prepare --group NAME` for each, then the same without"
                " --prepare for all"
            )

    def prepare(self, plan: GrowthPlan) -> None:
        """Mark the changelogs, and give state and predictions their partitions."""
        growth, topics = plan.growth, self._log.topics
        counts = self._log.counts()
        self._mark(range(growth.before), growth)
        if counts.state < growth.after:
            self._log.grow(topics.state, growth.after)
        new = range(growth.before, growth.after)
        if counts.frames < growth.after:
            # no worker has them yet, and their changelogs cannot be read before frames has them
            self._log.write([growth.write(number) for number in new])
        else:
            self._mark(new, growth)
        if counts.predictions < growth.after:  # until then no worker starts: exit 12
            self._log.grow(topics.predictions, growth.after)

    def _mark(self, numbers: Sequence[int], growth: Growth) -> None:
        """Write the mark where it is missing."""
        changelogs = self._log.read(numbers)
        unmarked = [
            n for n, found in changelogs.items() if growth_key(growth.after) not in found.records
        ]
        begun = [
            n
            for n in unmarked
            if growth.source_of(n) is not None and MANIFEST_KEY in changelogs[n].records
        ]
        if begun:
            raise CannotMoveError(
                f"partitions {begun} are new, and workers of group {self._group} have begun them"
                " without the memory of their streams: there is nothing to move any more"
            )
        self._log.write([growth.write(number) for number in unmarked])

    def grow(self, plan: GrowthPlan) -> None:
        """Give the frames topic its partitions. From then on producers begin to use them."""
        if self._log.counts().frames < plan.growth.after:
            self._log.grow(self._log.topics.frames, plan.growth.after)

    def watch(self, plan: GrowthPlan, *, quiet_s: float) -> Drained:
        """Look once for records of moving streams in old partitions, and whether they are read.

        It is done when none has come for `quiet_s`, and workers have finished those that came.
        """
        growth, now_s = plan.growth, self._clock.monotonic()
        if not self._read_to:
            self._began_s = self._stale_s = now_s
            self._read_to = self._finished(range(growth.before))
        for records in self._log.frames(self._read_to):
            for one in stale(records, growth):
                self._stale[one.partition] = one
                self._stale_s = now_s
            for record in records:
                self._read_to[record.partition] = record.offset + 1
        quiet = now_s - self._stale_s >= quiet_s
        finished = self._finished(sorted(self._stale)) if quiet else {}
        unread = {
            n: self._stale[n].offset + 1 - at
            for n, at in finished.items()
            if at <= self._stale[n].offset
        }
        return Drained(
            stale=dict(self._stale),
            quiet_s=now_s - self._stale_s,
            watched_s=now_s - self._began_s,
            unread=unread,
            done=quiet and not unread,
        )

    def _finished(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the offsets up to which workers have finished partitions."""
        changelogs = self._log.read(numbers) if numbers else {}
        return {
            n: Manifest.read(found.records[MANIFEST_KEY]).next_offset
            for n, found in changelogs.items()
        }

    def members(self) -> Sequence[str]:
        """Return the members of the group: all workers have to be stopped before `move`."""
        return self._log.members()

    def move(self, plan: GrowthPlan) -> list[FilledPartition]:
        """Move the streams, one transaction for each new partition that has not begun yet.

        Raises `CannotMoveError` if workers are in the group, or if records of moving streams are
        left unread in old partitions.
        """
        growth = plan.growth
        return [
            filled for number in range(growth.before) for filled in self._move_from(number, growth)
        ]

    def _move_from(self, number: int, growth: Growth) -> list[FilledPartition]:
        targets = [n for n in range(growth.before, growth.after) if growth.source_of(n) == number]
        changelogs = self._log.read([number, *targets])
        source = changelogs[number]
        self._require_drained(number, source, growth)
        by_target = moving(source, number, growth)
        stayed = tuple(staying(source, number, growth))
        filled = []
        for target in targets:
            if _mark_of(changelogs[target], growth).arrival is None:
                streams = by_target.get(target, [])
                now_s = self._clock.time()
                self._log.commit(move_streams(source, target, growth, streams, now_s=now_s))
                filled.append(FilledPartition(target, number, len(streams), stayed))
        return filled

    def _require_drained(self, number: int, source: Changelog, growth: Growth) -> None:
        finished = Manifest.read(source.records[MANIFEST_KEY]).next_offset
        left = [
            one
            for records in self._log.frames({number: finished})
            for one in stale(records, growth)
        ]
        if left:
            raise CannotMoveError(
                f"partition {number} holds {len(left)} unread records of streams that move, such as"
                f" {left[0].stream} at offset {left[0].offset}: start the workers again, and then"
                " this command. Nothing is lost"
            )


def _streams(changelog: Changelog) -> list[bytes]:
    return [key for key in changelog.records if key.startswith(SNAPSHOT_PREFIX)]


def _mark_of(changelog: Changelog, growth: Growth) -> Growth:
    """Return the mark in a changelog. Raises `CannotMoveError` if it is gone."""
    found = changelog.records.get(growth_key(growth.after))
    if found is None:
        raise CannotMoveError(
            f"the mark of the growth to {growth.after} partitions is gone from a changelog: was"
            " its topic made anew? Run the command again"
        )
    return Growth.read(found)
