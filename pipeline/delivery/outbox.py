"""Publishes predictions at once (delivery `low_latency`): in order, before their checkpoint."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future

from pipeline.broker.outlet import Outlet
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailableError
from pipeline.streams.open_checkpoint import Departure

BURST = 1000
PAUSE_S = 0.5  # before a burst is tried again


class Outbox:
    """A queue of predictions to publish at once. It publishes one burst at a time.

    One owner thread. A burst that may not have arrived is published again before anything else.
    That repeats predictions, which readers drop by their id, and never changes their order.
    """

    def __init__(self, outlet: Outlet, *, sends: Executor, clock: Clock) -> None:
        self._outlet = outlet
        self._sends = sends
        self._clock = clock
        self._waiting: deque[Departure] = deque()
        self._burst: list[Departure] = []
        self._task: Future[None] | None = None
        self._retry_s = 0.0
        self.taken = 0  # number of predictions that were put in
        self.departed = 0  # number of these that are in the log
        self.trouble = ""  # why the present burst is not in the log yet

    @property
    def size(self) -> int:
        """The number of predictions that are not known to be in the log."""
        return self.taken - self.departed

    def put(self, departures: Sequence[Departure]) -> None:
        """Publish these after all that were put in before."""
        self._waiting.extend(departures)
        self.taken += len(departures)

    def advance(self) -> list[Departure]:
        """Advance without blocking. Returns what has arrived in the log since the last call."""
        departed: list[Departure] = []
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            try:
                task.result()
            except BrokerUnavailableError as exc:
                self.trouble = str(exc)
                self._retry_s = self._clock.monotonic() + PAUSE_S
            else:
                self.trouble = ""
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
