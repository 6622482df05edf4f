"""How long each stream had no prediction, as a reader of committed records sees it."""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.connection import Connection

READ_S = 0.02
FLOWING_S = 1.0  # a stream whose newest prediction is younger flows
STEADY_S = 3.0
PATIENCE_S = 120.0


def longest_gap_s(came_s: Sequence[float], since_s: float, until_s: float) -> float:
    """Return the longest time between two predictions of a stream, of which this time has a part.

    `came_s` are the times of its predictions, in order. A stream whose predictions have ended has a
    gap up to `until_s`.
    """
    before = [at_s for at_s in came_s if at_s <= since_s][-1:]
    inside = [at_s for at_s in came_s if since_s < at_s <= until_s]
    return max(b - a for a, b in pairwise([*(before or [since_s]), *inside, until_s]))


class GapWatch:
    """Reads predictions in a thread until `close`, and keeps when those of each stream came."""

    def __init__(self, connection: Connection, *, topic: str) -> None:
        self._tail = TopicTail(connection, topic=topic, from_start=True)
        self._came_s: dict[str, list[float]] = defaultdict(list)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="predictions", daemon=True)
        self._thread.start()

    def await_flow(self, streams: int) -> None:
        """Wait until so many streams have flowed for STEADY_S."""
        began_s = steady_s = time.monotonic()
        while time.monotonic() - steady_s < STEADY_S:
            if time.monotonic() - began_s > PATIENCE_S:
                raise AssertionError(f"not all flow after {PATIENCE_S:g} s: {self._silences()}")
            if self._flowing < streams:
                steady_s = time.monotonic()
            time.sleep(READ_S)

    def longest_s(self, since_s: float, until_s: float) -> float:
        """Return the longest time without a prediction of a stream that overlaps this time."""
        return max(longest_gap_s(came, since_s, until_s) for came in list(self._came_s.values()))

    def _silences(self) -> str:
        now_s = time.monotonic()
        silent = (f"{name} for {now_s - came[-1]:.1f} s" for name, came in self._came_s.items())
        reads = "" if self._thread.is_alive() else "; the reader has ended"
        return ", ".join(silent) + reads

    @property
    def _flowing(self) -> int:
        now_s = time.monotonic()
        return sum(now_s - came[-1] < FLOWING_S for came in list(self._came_s.values()))

    def _read(self) -> None:
        while not self._closing.is_set():
            records = self._tail.read(READ_S)
            now_s = time.monotonic()
            for record in records:
                if record.key is not None:
                    self._came_s[record.key.decode()].append(now_s)

    def close(self) -> None:
        """End the reading."""
        self._closing.set()
        self._thread.join()
        self._tail.close()
