"""The clock of a process. Decisions about frames never use it: they use the times of records."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: a monotonic one, and the time of day."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back."""

    def time(self) -> float:
        """Seconds since 1970."""


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def time(self) -> float:
        """See `Clock`."""
        return time.time()


class ManualClock:
    """A clock for tests: its time changes only by `advance`."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self.now_s = start_s

    def advance(self, seconds: float) -> None:
        """Advance the time by `seconds`."""
        self.now_s += seconds

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.now_s

    def time(self) -> float:
        """See `Clock`."""
        return self.now_s
