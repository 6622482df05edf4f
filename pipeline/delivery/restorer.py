"""Reads the changelogs of the partitions that are ours now, and restores them."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from engines.base import Engine
from pipeline.broker.contract import OwnChangelogs
from pipeline.clock import Clock
from pipeline.delivery.memory_checks.remains_check import find_remains
from pipeline.delivery.restore import RestorePolicy, restore
from pipeline.delivery.short_logs import ShortLogs
from pipeline.errors import BrokerUnavailableError, ShortLogError
from pipeline.records import Changelog
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.belongings.remains import NOTHING_LEFT, Remains
from pipeline.wire.changelog import MANIFEST_KEY

log = logging.getLogger(__name__)

AGAIN_S = 0.2  # after a reading that failed, or a log that is too short
LOOK_S = 5.0  # between two readings of the changelogs of partitions that are held
REPEAT_S = 10.0  # of a warning that the log cannot be read


@dataclass(frozen=True, slots=True)
class FoundLogs:
    """What one reading has found. `remains`: of the partitions without a manifest."""

    changelogs: Mapping[int, Changelog]
    remains: Mapping[int, Remains]


class Restorer:
    """Restores the requested partitions, several with one read. One owner thread.

    Each request has an era of its own. If a partition is dropped and requested again while its
    changelog is being read, its changelog is read once more.
    """

    def __init__(
        self,
        reader: OwnChangelogs,
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
        self._task: Future[FoundLogs] | None = None
        self._began_s = 0.0
        self._again_s = 0.0  # no reading begins before
        self._warned_s: float | None = None  # None: the last reading has not failed
        self._short = ShortLogs(clock)
        self._held: dict[int, int] = {}  # partition -> era
        self._looked_s = 0.0  # when the changelogs of held partitions were last read

    @property
    def wanted(self) -> frozenset[int]:
        """The partitions that are still to be restored, without those that are held."""
        return frozenset(self._wanted)

    @property
    def held(self) -> frozenset[int]:
        """The new partitions that wait until `longtake topics grow` has moved streams there."""
        return frozenset(self._held)

    @property
    def failing(self) -> bool:
        """Whether the last reading of changelogs has failed."""
        return self._warned_s is not None

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
            self._short.forget(number)

    def advance(self, holds: Callable[[int], bool]) -> list[Partition]:
        """Advance without blocking. Returns the partitions restored since the last call.

        `holds` returns whether a checkpoint of a partition is still being committed; the partition
        is read only afterwards. Raises what `restore` raises, and `RestoreStalledError`. A
        partition whose log is too short is read again, see `ShortLogs`.
        """
        restored = self._finish() if self._task is not None and self._task.done() else []
        if self._task is None and self._clock.monotonic() >= self._again_s:
            self._reading = {n: era for n, era in self._wanted.items() if not holds(n)}
            self._reading |= self._due()
            if self._reading:
                self._began_s = self._clock.monotonic()
                self._task = self._reads.submit(self._read, sorted(self._reading))
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

    def _read(self, partitions: Sequence[int]) -> FoundLogs:
        changelogs = self._reader.read(partitions)
        new = [n for n, changelog in changelogs.items() if MANIFEST_KEY not in changelog.records]
        return FoundLogs(changelogs, find_remains(self._reader, self._policy.group, new))

    def _finish(self) -> list[Partition]:
        task, self._task = self._task, None
        try:
            found = FoundLogs({}, {}) if task is None else task.result()
        except BrokerUnavailableError as exc:
            self._try_again(exc)
            return []
        self._warned_s = None
        partitions = []
        for number, era in self._reading.items():
            if era not in (self._wanted.get(number), self._held.get(number)):
                continue
            try:
                partition = self._restore(number, found, era)
            except ShortLogError as exc:
                self._short.wait(number, exc)
                self._again_s = self._clock.monotonic() + AGAIN_S
                continue
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

    def _try_again(self, failure: BrokerUnavailableError) -> None:
        now_s = self._clock.monotonic()
        self._again_s = now_s + AGAIN_S
        if self._warned_s is None or now_s - self._warned_s >= REPEAT_S:
            self._warned_s = now_s
            log.warning("restoring partitions %s: %s; trying again", sorted(self._reading), failure)

    def _restore(self, number: int, found: FoundLogs, era: int) -> Partition | None:
        return restore(
            number,
            found.changelogs[number],
            self._policy,
            era=era,
            wanted_s=self._since_s[number],
            remains=found.remains.get(number, NOTHING_LEFT),
            engine=self._engine,
            rows=self._rows,
        )
