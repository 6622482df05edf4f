"""Where time comes from. Decisions about frames never ask it: they go by the records."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that only goes forward, one that agrees with the world."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back."""

    def time(self) -> float:
        """Seconds since 1970."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def time(self) -> float:
        """See `Clock`."""
        return time.time()


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self.now_s = start_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now_s += seconds

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.now_s

    def time(self) -> float:
        """See `Clock`."""
        return self.now_s
