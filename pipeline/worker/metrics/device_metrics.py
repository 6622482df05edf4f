"""Prometheus metrics of a GPU engine. A worker that runs on the CPU has none of them."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from engines.base import DeviceFacts

COUNTERS = {
    "enqueue_s": ("longtake_device_enqueue_seconds", "The processor asking the device for work."),
    "wait_s": ("longtake_device_wait_seconds", "The processor waiting for the device."),
    "items": ("longtake_device_items", "Inputs that were encoded, and rows that were stepped."),
    "slots": ("longtake_device_slots", "Places in their batches, padding included."),
}
GAUGES = {
    "memory_bytes": ("longtake_device_memory_bytes", "Device memory of tables and buffers."),
    "captured": ("longtake_device_captured_graphs", "Batch sizes that are CUDA graphs."),
    "build_s": ("longtake_plan_build_seconds", "Making plans at the start; 0 if they were there."),
}


class DeviceMetrics(Collector):
    """Reports the newest facts that were set; before that it reports nothing."""

    def __init__(self) -> None:
        self._facts: DeviceFacts | None = None

    def set_facts(self, facts: DeviceFacts | None) -> None:
        """Set the facts to report; None if the engine runs on the CPU."""
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Return the metrics. The Prometheus client calls this, from any thread."""
        facts = self._facts
        if facts is None:
            return
        for field, (name, words) in COUNTERS.items():
            yield CounterMetricFamily(name, words, value=getattr(facts, field))
        for field, (name, words) in GAUGES.items():
            yield GaugeMetricFamily(name, words, value=getattr(facts, field))
        plans = CounterMetricFamily(
            "longtake_plans",
            "Plans by whether they were in the cache: hit, miss, or reject and made again.",
            labels=["found"],
        )
        for found in ("hit", "miss", "reject"):
            plans.add_metric([found], sum(one == found for one in facts.plans.values()))
        yield plans
