"""Detects a partition whose reading does not advance although the log holds more records."""

from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future

from pipeline.broker.contract import ChangelogReader
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailableError, StalledError

LOOK_S = 5.0
SEEK_AFTER = 2  # checks in a row without progress, after which the partition is sought again
STOP_AFTER = 6  # checks in a row without progress, after which the worker ends


class StallDetector:
    """Compares positions with the ends of the log every LOOK_S seconds. One owner thread.

    The Kafka client can lose its position, which is why this exists. `reads` queries the ends. An
    unanswered query counts neither as progress nor as a stall.
    """

    def __init__(self, reader: ChangelogReader, *, reads: Executor, clock: Clock) -> None:
        self._reader = reader
        self._reads = reads
        self._clock = clock
        self.ends: Mapping[int, int] = {}  # ends of the log, as of the last answer
        self._answer: Future[Mapping[int, int]] | None = None
        self._answers = 0
        self._failed = False  # whether the last query had no answer
        self._looked_s = clock.monotonic()
        self._before: Mapping[int, int] = {}  # positions at the last check
        self._strikes: dict[int, int] = {}

    @property
    def unanswered(self) -> int | None:
        """The number of answers so far, while the next one is missing; None if none is."""
        return self._answers if self._failed or self._answer is not None else None

    @property
    def due(self) -> bool:
        """Whether `look` has anything to do."""
        if self._answer is not None:
            return self._answer.done()
        return self._clock.monotonic() - self._looked_s >= LOOK_S

    def look(self, positions: Mapping[int, int], *, paused: Collection[int] = ()) -> list[int]:
        """Compare `positions` with the last ones. A partition that is `paused` is not stalled.

        Returns the partitions to seek again. Raises `StalledError` if seeking did not help.
        """
        if self._answer is None:
            self._looked_s = self._clock.monotonic()
            self._answer = self._reads.submit(self._reader.ends, sorted(positions))
            return []
        answer, self._answer = self._answer, None
        try:
            ends = answer.result()
        except BrokerUnavailableError:
            self._failed = True
            return []
        self._failed = False
        self._answers += 1
        self.ends = ends
        before = self._before
        self._before = {number: at for number, at in positions.items() if number not in paused}
        still = {n for n, at in self._before.items() if before.get(n) == at < ends.get(n, at)}
        self._strikes = {number: self._strikes.get(number, 0) + 1 for number in still}
        lost = [number for number, strikes in self._strikes.items() if strikes >= STOP_AFTER]
        if lost:
            raise StalledError(
                f"partitions {sorted(lost)} have stood still for {STOP_AFTER * LOOK_S:.0f} s at"
                f" offsets {[positions[n] for n in sorted(lost)]} though the log has more, and"
                " seeking did not help; ending so that a supervisor starts us afresh"
            )
        return sorted(n for n, strikes in self._strikes.items() if strikes == SEEK_AFTER)
