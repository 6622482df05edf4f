"""Maps time stamps to our clock along the fastest arrivals, and detects stamps of a wrong rate."""

from collections import deque

from pipeline.cameras.values import ClockFault

BUCKET_US = 500_000
WINDOW_US = 10_000_000  # the fastest arrival of this time has no delay
SETTLE_US = 2_000_000  # after connecting, a server may send its whole backlog at once
DRIFT = 200e-6  # how fast the clocks of cheap devices drift apart (seconds per second)
SLEW = 0.05  # the mapping moves by this fraction of the elapsed time at most
OFF_US = 300_000  # stamps that differ by more from our clock are examined
LATE_US = 1_500_000  # pictures that are late for so long without catching up have slow stamps
LATE_PICTURES = 4
SILENCE_GAPS = 3  # so many times longer than usual without a picture: the network stood still
DRAINING_US = 100_000  # a backlog that gets shorter by this much is catching up
FAST_SECONDS = 5  # in so many seconds of the window, stamps overtook all arrivals before


class ArrivalsMap:
    """The difference between our clock and the time stamps of one connection.

    The network can only add delay, so the fastest arrivals are right. Only those of the last
    `WINDOW_US` count, because stamps drift. Pictures that are all late, and do not catch up, have
    stamps that run slow, or a backlog that stays: the two cannot be distinguished.
    """

    def __init__(self, pts_us: int, arrived_us: int) -> None:
        self.offset_us = float(arrived_us - pts_us)
        self._began_us = self._arrived_us = arrived_us
        self._buckets: deque[tuple[int, float]] = deque()  # when it began, its least difference
        self._falls: deque[tuple[int, float]] = deque()  # when, by how much
        self._late: _LateRun | None = None
        self._gap_us = 0.0  # the mean time between two arrivals

    def settled(self, arrived_us: int) -> bool:
        """Whether the connection is older than a server's backlog."""
        return arrived_us - self._began_us >= SETTLE_US

    def follow(self, pts_us: int, arrived_us: int) -> ClockFault | None:
        """Include a picture; returns what is wrong with the stamps of the last seconds."""
        difference_us = float(arrived_us - pts_us)
        target_us = self._fastest(difference_us, arrived_us)
        elapsed_us = max(0, arrived_us - self._arrived_us)
        self._arrived_us = arrived_us
        if elapsed_us > max(LATE_US, SILENCE_GAPS * self._gap_us):
            self._late = None  # the network stood still: this says nothing about the stamps
        self._gap_us += (elapsed_us - self._gap_us) / 8
        late = difference_us > self.offset_us + OFF_US
        if difference_us < self.offset_us:
            self._fall(self.offset_us - difference_us, arrived_us)
            self.offset_us = difference_us
        else:
            self.offset_us += min(SLEW * elapsed_us, max(0.0, target_us - self.offset_us))
        return self._slow(difference_us, arrived_us, late=late) or self._fast(arrived_us)

    def _fastest(self, difference_us: float, arrived_us: int) -> float:
        if not self._buckets or arrived_us >= self._buckets[-1][0] + BUCKET_US:
            self._buckets.append((arrived_us, difference_us))
        elif difference_us < self._buckets[-1][1]:
            self._buckets[-1] = (self._buckets[-1][0], difference_us)
        while self._buckets[0][0] < arrived_us - WINDOW_US:
            self._buckets.popleft()
        return min(least_us + DRIFT * (arrived_us - at_us) for at_us, least_us in self._buckets)

    def _fall(self, by_us: float, arrived_us: int) -> None:
        if not self.settled(arrived_us):
            return
        if self._falls and self._falls[-1][0] // 1_000_000 == arrived_us // 1_000_000:
            by_us += self._falls.pop()[1]
        self._falls.append((arrived_us, by_us))

    def _fast(self, arrived_us: int) -> ClockFault | None:
        while self._falls and self._falls[0][0] < arrived_us - WINDOW_US:
            self._falls.popleft()
        fallen_us = sum(by_us for _, by_us in self._falls)
        fast = len(self._falls) >= FAST_SECONDS and fallen_us > OFF_US
        return ClockFault.FAST if fast else None

    def _slow(self, difference_us: float, arrived_us: int, *, late: bool) -> ClockFault | None:
        if not late:
            self._late = None
            return None
        if self._late is None:
            self._late = _LateRun(arrived_us)
        self._late.add(difference_us, arrived_us)
        return ClockFault.SLOW if self._late.stays else None


class _LateRun:
    """Pictures in a row that are late."""

    def __init__(self, began_us: int) -> None:
        self._began_us = began_us
        self._pictures = 0
        self._first_us: float | None = None  # the least difference of the first half
        self._newest: deque[tuple[int, float]] = deque()

    def add(self, difference_us: float, arrived_us: int) -> None:
        """Add the next picture."""
        self._pictures += 1
        if self._first_us is None or arrived_us - self._began_us <= LATE_US / 2:
            first_us = difference_us if self._first_us is None else self._first_us
            self._first_us = min(difference_us, first_us)
        self._newest.append((arrived_us, difference_us))
        while self._newest[0][0] < arrived_us - LATE_US / 2:
            self._newest.popleft()

    @property
    def stays(self) -> bool:
        """Whether the pictures have been late for `LATE_US`, and are not catching up."""
        if self._first_us is None or self._pictures < LATE_PICTURES:
            return False
        newest_us = min(difference_us for _, difference_us in self._newest)
        lasted_us = self._newest[-1][0] - self._began_us
        return lasted_us >= LATE_US and newest_us > self._first_us - DRAINING_US
