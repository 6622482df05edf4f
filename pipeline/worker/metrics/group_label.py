"""The label `group` on everything that a worker serves.

Two groups may read the same cameras, for instance while a new model runs beside the old one.
Without the label, sums and maxima over workers mix the two, and the group that works hides the
silence of the other. The label is added when Prometheus asks, not when a worker counts.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

LABEL = "group"


def with_group(registry: CollectorRegistry, group: str) -> CollectorRegistry:
    """Return a registry with the metrics of this one, each sample labelled with the group."""
    grouped = CollectorRegistry(auto_describe=False)
    grouped.register(GroupLabel(registry, group))
    return grouped


class GroupLabel(Collector):
    """Reports the metrics of a registry, each sample with one label more."""

    def __init__(self, registry: CollectorRegistry, group: str) -> None:
        self._registry, self._group = registry, group

    def collect(self) -> Iterator[Metric]:
        """Return the metrics. The Prometheus client calls this, from any thread."""
        for metric in self._registry.collect():
            grouped = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            for name, labels, value, time, exemplar, native in metric.samples:
                mine = {**labels, LABEL: self._group}
                grouped.add_sample(name, mine, value, time, exemplar, native)
            yield grouped
