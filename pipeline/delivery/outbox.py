"""Predictions that leave at once (delivery `low_latency`): in order, ahead of their checkpoint."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future

from pipeline.broker.contract import Outlet
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailableError
from pipeline.streams.open_checkpoint import Departure

BURST = 1000
PAUSE_S = 0.5  # before a burst is tried again


class Outbox:
    """What is to leave at once, and what has left. One burst at a time is on its way.

    One owner thread. A burst that may not have arrived is published again before anything else:
    that repeats predictions, which readers drop by their id, and never changes their order.
    """

    def __init__(self, outlet: Outlet, *, sends: Executor, clock: Clock) -> None:
        self._outlet = outlet
        self._sends = sends
        self._clock = clock
        self._waiting: deque[Departure] = deque()
        self._burst: list[Departure] = []
        self._task: Future[None] | None = None
        self._retry_s = 0.0
        self.taken = 0  # predictions that were put in
        self.departed = 0  # of these, in the log

    @property
    def size(self) -> int:
        """Predictions that are not known to be in the log."""
        return self.taken - self.departed

    def put(self, departures: Sequence[Departure]) -> None:
        """Let these leave after all that were put in before."""
        self._waiting.extend(departures)
        self.taken += len(departures)

    def advance(self) -> list[Departure]:
        """Go on without waiting; returns what is in the log now and was not before."""
        departed: list[Departure] = []
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            try:
                task.result()
            except BrokerUnavailableError:
                self._retry_s = self._clock.monotonic() + PAUSE_S
            else:
                departed, self._burst = self._burst, []
                self.departed += len(departed)
        if self._task is None and self._clock.monotonic() >= self._retry_s:
            if not self._burst:
                count = min(BURST, len(self._waiting))
                self._burst = [self._waiting.popleft() for _ in range(count)]
            if self._burst:
                burst = [departure.outgoing for departure in self._burst]
                self._task = self._sends.submit(self._outlet.publish, burst)
        return departed
