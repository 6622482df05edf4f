"""Counts all streams now and then: that is too much for each turn."""

from collections.abc import Collection

from pipeline.clock import Clock
from pipeline.streams.admission import Rules
from pipeline.streams.partition import Partition
from pipeline.worker.metrics.model_metrics import ModelMetrics

CENSUS_S = 1.0


class Census:
    """Counts the streams of all partitions once in CENSUS_S. Owner thread only."""

    def __init__(self, metrics: ModelMetrics, rules: Rules, *, clock: Clock) -> None:
        self._metrics = metrics
        self._rules = rules
        self._clock = clock
        self._counted_s = clock.monotonic()

    def look(self, partitions: Collection[Partition]) -> None:
        """Count the streams if it is time."""
        now_s = self._clock.monotonic()
        if now_s - self._counted_s >= CENSUS_S:
            self._counted_s = now_s
            self._metrics.count_streams(partitions, self._rules)

    def hasten(self) -> None:
        """Count them at the next look: a partition is read from now on."""
        self._counted_s -= CENSUS_S
