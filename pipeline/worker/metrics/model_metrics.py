"""Prometheus metrics of predictions and of streams' memory: sums over streams, none per stream."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipeline.records import Reset
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.text.printable import printable

CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
HELD_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 900, 3600)


class ModelMetrics:
    """Predictions by label, their confidence, how long labels last; streams and their resets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self._predictions = counter(
            "longtake_predictions", "Predictions made, by their label.", ["label"]
        )
        self._confidence = histogram(
            "longtake_confidence_ratio",
            "Score of each prediction's label.",
            buckets=CONFIDENCE_BUCKETS,
        )
        self._held = histogram(
            "longtake_label_held_seconds",
            "For how long a stream's label held, by capture times, when another took its place.",
            buckets=HELD_BUCKETS,
        )
        self._resets = counter(
            "longtake_resets", "Times that a stream's memory started afresh.", ["reason"]
        )
        for reset in Reset:
            self._resets.labels(reset)
        self._streams = gauge("longtake_streams", "Streams whose memory we hold.")
        self._cold = gauge(
            "longtake_cold_streams",
            "Of these, streams of which less than a second is remembered, or nothing.",
        )
        self._fullest = gauge(
            "longtake_streams_ratio",
            "Streams of the fullest of our partitions, as a share of max_streams.",
        )
        self._by_label: list[Counter] = []

    def set_labels(self, labels: Sequence[str]) -> None:
        """Set the model's labels, in bundle order."""
        self._by_label = [self._predictions.labels(printable(label)) for label in labels]

    def count_predictions(self, items: Iterable[Item], resets: Iterable[Reset]) -> None:
        """Count a batch's predictions and resets."""
        for item in items:
            if item.answer is not None:
                self._by_label[item.answer.label].inc()
                self._confidence.observe(item.answer.confidence)
            if item.held_us is not None:
                self._held.observe(item.held_us / 1e6)
        for reset in resets:
            self._resets.labels(reset).inc()

    def count_streams(self, partitions: Collection[Partition], rules: Rules) -> None:
        """Count streams, and the cold ones. Not for every turn: it looks at every stream."""
        fullest = max((len(partition.streams) for partition in partitions), default=0)
        self._fullest.set(fullest / rules.most_streams)
        warm = [
            stream.is_warm(timed=rules.timed)
            for partition in partitions
            for stream in partition.streams.values()
        ]
        self._streams.set(len(warm))
        self._cold.set(len(warm) - sum(warm))
