"""When a picture was taken: maps a camera's time stamps to the clock of this machine."""

from dataclasses import dataclass

JUMP_US = 2_000_000  # a larger difference is a clock that jumped, not jitter
BACK_US = 100_000  # time stamps may be this much out of order
SETTLE_US = 2_000_000  # after connecting, a server may send its whole backlog at once
FUTURE_US = 500_000  # a camera clock further ahead of ours than this is wrong
PAST_US = 3_000_000  # a clock further behind is wrong as well: no picture takes longer to arrive
STEP_US = 1000  # the least distance of two capture times: the headers have milliseconds
SLEW = 0.05  # the mapping may move by this fraction of the elapsed time without being a jump
DRIFT = 200e-6  # how fast the clocks of cheap devices drift apart (seconds per second)


@dataclass(frozen=True, slots=True)
class Captured:
    """When a picture was taken, and whether a clock jumped just before it."""

    at_us: int
    jumped: bool


class CaptureClock:
    """Maps one camera's times to ours, in us since 1970. Times only grow, unless a clock jumps.

    The camera's wall clock (RTCP sender reports, RFC 3550 section 6.4.1) is used while it is near
    ours. Otherwise the time stamps are mapped so that the fastest arrivals have no delay, because
    the network can only add delay. Without time stamps the capture time is the arrival time. The
    mapping moves slowly towards a better one, so that the distance between two pictures stays
    right; if it is more than `JUMP_US` off, it changes at once, and is reported as a jump.
    """

    def __init__(self) -> None:
        self._last_us = 0
        self.connected()

    def connected(self) -> None:
        """Forget the mapping: the time stamps of a new connection start at another value."""
        self._offset_us: float | None = None  # capture time minus time stamp
        self._fastest_us = 0.0  # the least arrival time minus time stamp so far, with drift
        self._pts_us = 0
        self._since_us = 0

    def capture(self, pts_us: int | None, wall_us: int | None, *, arrived_us: int) -> Captured:
        """Return when a picture was taken that arrived at `arrived_us`."""
        if wall_us is not None and not -PAST_US <= wall_us - arrived_us <= FUTURE_US:
            wall_us = None
        if pts_us is None:
            return self._forward(arrived_us if wall_us is None else min(wall_us, arrived_us))
        if self._offset_us is None:
            self._since_us = arrived_us
            self._offset_us = self._begin(pts_us, wall_us, arrived_us)
        self._follow(pts_us, arrived_us)
        target_us = self._fastest_us if wall_us is None else float(wall_us - pts_us)
        settling = arrived_us - self._since_us < SETTLE_US
        far = abs(target_us - self._offset_us) > JUMP_US and not settling
        jumped = far or pts_us < self._pts_us - BACK_US
        if jumped:
            self._offset_us = self._begin(pts_us, wall_us, arrived_us)
        elif settling:
            self._offset_us = target_us
        else:
            most_us = SLEW * max(0, pts_us - self._pts_us)
            self._offset_us += max(-most_us, min(most_us, target_us - self._offset_us))
        self._pts_us = pts_us
        return self._forward(min(round(pts_us + self._offset_us), arrived_us), jumped=jumped)

    def _begin(self, pts_us: int, wall_us: int | None, arrived_us: int) -> float:
        self._pts_us = pts_us
        self._fastest_us = float(arrived_us - pts_us)
        return self._fastest_us if wall_us is None else float(wall_us - pts_us)

    def _follow(self, pts_us: int, arrived_us: int) -> None:
        drifted_us = self._fastest_us + DRIFT * max(0, pts_us - self._pts_us)
        self._fastest_us = min(drifted_us, arrived_us - pts_us)

    def _forward(self, at_us: int, *, jumped: bool = False) -> Captured:
        if at_us < self._last_us - JUMP_US:  # our own clock was set back
            jumped, self._last_us = True, at_us - STEP_US
        self._last_us = max(at_us, self._last_us + STEP_US)
        return Captured(self._last_us, jumped)
