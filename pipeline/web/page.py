"""The text of /metrics: rendering it takes processor time from the thread that predicts."""

from prometheus_client import CollectorRegistry, generate_latest

from pipeline.clock import Clock

REST_PER_RENDERING = 3  # so rendering takes a quarter of the time, however often it is asked for


class MetricsPage:
    """Renders a registry, and gives the same text again for three times as long as that took."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock
        self._text = b""
        self._fresh_until_s = float("-inf")

    def text(self) -> bytes:
        """Return the metrics in Prometheus' format."""
        began_s = self._clock.monotonic()
        if began_s >= self._fresh_until_s:
            self._text = generate_latest(self._registry)
            ended_s = self._clock.monotonic()
            self._fresh_until_s = ended_s + REST_PER_RENDERING * (ended_s - began_s)
        return self._text
