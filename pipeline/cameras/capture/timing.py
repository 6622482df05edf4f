"""When a picture was taken: maps a camera's time stamps to the clock of this machine."""

from dataclasses import dataclass

from pipeline.cameras.capture.sender_reports import FUTURE_US, PAST_US
from pipeline.cameras.capture.stamp_checks import OwnClock
from pipeline.cameras.capture.stamp_mapping import Stamp, StampMapping
from pipeline.cameras.values import ClockFault

MOST_AGE_US = 10_000_000  # no picture is dated further before its arrival
STEP_US = 1000  # the least distance of two capture times: the headers have milliseconds


@dataclass(frozen=True, slots=True)
class Captured:
    """When a picture was taken, and whether a clock jumped just before it.

    `redated`: why its own stamp was not used. `distrusted`: why no stamps are used at present.
    """

    at_us: int
    jumped: bool
    redated: ClockFault | None
    distrusted: ClockFault | None


class CaptureClock:
    """Maps one camera's times to ours, in us since 1970. Times only grow, unless a clock jumps.

    Time stamps are mapped by `StampMapping`. Without one the camera's wall clock counts while it is
    near ours, else the arrival. No picture is dated after its arrival, nor long before it.
    """

    def __init__(self) -> None:
        self._own = OwnClock()
        self._last_us = 0
        self._moved_us = 0  # by how much our own clock was set; the mapping does not see it
        self.connected()

    def connected(self) -> None:
        """Forget the mapping: the time stamps of a new connection start at another value."""
        self._mapping = StampMapping()
        self._even_us: int | None = None  # the last arrival, as if our clock was never set

    def capture(
        self,
        pts_us: int | None,
        wall_us: int | None,
        *,
        arrived_us: int,
        steady_us: int | None = None,
    ) -> Captured:
        """Return when a picture was taken that arrived at `arrived_us`.

        `steady_us` is the arrival by a clock that is never set, if there is one.
        """
        moved_us = self._own.moved_us(arrived_us, steady_us)
        self._moved_us += moved_us
        if moved_us:
            self._last_us = min(self._last_us + moved_us, arrived_us - STEP_US)
        at_us, jumped, redated = self._date(pts_us, wall_us, arrived_us)
        at_us = min(at_us, arrived_us)
        if at_us < arrived_us - MOST_AGE_US:
            at_us, redated = arrived_us - MOST_AGE_US, redated or ClockFault.SLOW
        self._last_us = max(at_us, self._last_us + STEP_US)
        distrusted = None if pts_us is None else self._mapping.distrusted
        return Captured(self._last_us, jumped or moved_us != 0, redated, distrusted)

    def _date(
        self, pts_us: int | None, wall_us: int | None, arrived_us: int
    ) -> tuple[int, bool, ClockFault | None]:
        if pts_us is None:
            near = wall_us is not None and -PAST_US <= wall_us - arrived_us <= FUTURE_US
            return (wall_us if wall_us is not None and near else arrived_us), False, None
        moved_us = self._moved_us
        even_us, before_us = arrived_us - moved_us, self._even_us
        self._even_us = even_us
        stamp = Stamp(
            pts_us,
            None if wall_us is None else wall_us - moved_us,
            arrived_us=even_us,
            elapsed_us=0 if before_us is None else even_us - before_us,
        )
        dated = self._mapping.date(stamp, last_us=self._last_us - moved_us)
        return dated.at_us + moved_us, dated.jumped, dated.redated
