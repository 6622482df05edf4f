"""Checks of time stamps and clocks: wraps, stamps that fit nothing, our own clock, and trust."""

from collections import deque

from pipeline.cameras.values import ClockFault

JUMP_US = 2_000_000  # a larger difference is a clock that jumped, and begins a new epoch
AGREE_US = 500_000  # stamps that differ from ours by about the same confirm one another
BELIEVED = 3  # pictures in a row that confirm a jump
WILD = 10  # pictures in a row whose stamps fit nothing
WRAP_ERROR_US = 5_000_000
WRAPS_US = tuple(  # periods of the time stamps of RTP, of MPEG-TS, and of milliseconds
    round(one) for one in (2**32 / 0.09, 2**33 / 0.09, 2**31 * 1e3, 2**32 * 1e3)
)
SET_US = 200_000  # our clock was set if it moved by more than the one that is never set
SILENCE_US = 60_000_000  # without that one: no connection lives through so long a silence
PROBATION_US = 20_000_000  # stamps are trusted again when they were right for so long
MOST_PROBATION_US = 600_000_000


class OwnClock:
    """Detects that the clock of this machine was set, by NTP or by hand."""

    def __init__(self) -> None:
        self._arrived_us: int | None = None
        self._ahead_us: int | None = None  # of the clock that is never set

    def moved_us(self, arrived_us: int, steady_us: int | None) -> int:
        """Return by how much the clock was set since the last picture; 0 if it was not.

        `steady_us` is the arrival by a clock that is never set, if there is one.
        """
        before_us, self._arrived_us = self._arrived_us, arrived_us
        if steady_us is not None:
            ahead_us, self._ahead_us = self._ahead_us, arrived_us - steady_us
            moved_us = 0 if ahead_us is None else self._ahead_us - ahead_us
            return moved_us if abs(moved_us) > SET_US else 0
        elapsed_us = 0 if before_us is None else arrived_us - before_us
        return 0 if -JUMP_US <= elapsed_us <= SILENCE_US else elapsed_us


class Unwrapped:
    """Continues time stamps that start again at 0 because their number of bits is over."""

    def __init__(self) -> None:
        self._last_us: int | None = None
        self._added_us = 0

    def unwrap(self, pts_us: int, elapsed_us: int) -> int:
        """Return the time stamp of a picture that came `elapsed_us` after the one before."""
        pts_us += self._added_us
        if self._last_us is not None:
            missing_us = self._last_us + elapsed_us - pts_us
            for wrap_us in WRAPS_US:
                if abs(missing_us - wrap_us) < WRAP_ERROR_US:
                    self._added_us += wrap_us
                    pts_us += wrap_us
        return pts_us

    def accept(self, pts_us: int) -> None:
        """Record the newest time stamp that was right."""
        self._last_us = pts_us


class Misfits:
    """The pictures in a row whose stamps do not continue those before."""

    def __init__(self) -> None:
        self._differences_us: deque[int] = deque(maxlen=BELIEVED)  # our clock minus the stamp
        self.count = 0

    def like(self, difference_us: int) -> bool:
        """Return whether a picture agrees with one of the last ones: it is one of them."""
        return any(abs(one - difference_us) <= AGREE_US for one in self._differences_us)

    def add(self, difference_us: int) -> bool:
        """Add the next one; returns whether the last `BELIEVED` agree: a jump."""
        self.count += 1
        self._differences_us.append(difference_us)
        apart_us = max(self._differences_us) - min(self._differences_us)
        return len(self._differences_us) == BELIEVED and apart_us <= AGREE_US


class Trust:
    """Whether the time stamps of one connection are used.

    After a fault they are not, until they have been right for a time that doubles with each fault.
    A jump is believed; one that follows too soon after another is a fault.
    """

    def __init__(self) -> None:
        self.fault: ClockFault | None = None  # why they are not used at present
        self._right_since_us = 0
        self._probation_us = PROBATION_US
        self._jumped_us: int | None = None  # the arrival after the last jump
        self._calm_us = PROBATION_US  # for so long stamps must not jump before they may again

    def believes_jump(self, arrived_us: int) -> bool:
        """Record a jump; returns whether it is believed. If not, the stamps lose their trust."""
        before_us, self._jumped_us = self._jumped_us, arrived_us
        if before_us is None or arrived_us - before_us >= MOST_PROBATION_US:
            self._calm_us = PROBATION_US
            return True
        if self.fault is None and arrived_us - before_us >= self._calm_us:
            self._calm_us *= 2
            return True
        self.lose(ClockFault.WILD, arrived_us)
        return False

    def lose(self, fault: ClockFault, arrived_us: int) -> None:
        """Record a fault."""
        if self.fault is None and self._right_since_us:
            self._probation_us = min(MOST_PROBATION_US, 2 * self._probation_us)
        self.fault = self.fault or fault
        self._right_since_us = arrived_us

    def look(self, arrived_us: int) -> None:
        """Trust the stamps again if the probation is over."""
        if self.fault is not None and arrived_us - self._right_since_us >= self._probation_us:
            self.fault = None
