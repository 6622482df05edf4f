"""The metrics that exist once per stream, only for the expected streams that the operator lists.

A stream that the worker has never seen is included with zeros, so that an alert can find a missing
stream.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.records import Fate, Frame
from pipeline.streams.item import Item
from pipeline.streams.stream import Stream

GAUGES = {
    "last_frame_s": (
        "longtake_stream_last_frame_timestamp_seconds",
        "When the newest predicted frame of an expected stream came into the log; 0 if none did.",
    ),
    "confidence": (
        "longtake_stream_confidence_ratio",
        "Score of the newest prediction's label.",
    ),
    "remembered_s": (
        "longtake_stream_remembered_seconds",
        "What the model had seen of the stream before its newest predicted frame.",
    ),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest values of one stream. `last_frame_s`: since 1970, by the broker's clock."""

    last_frame_s: float = 0.0
    confidence: float = 0.0
    remembered_s: float = 0.0


class StreamMetrics(Collector):
    """Reports the newest values of each expected stream. The owner sets, any thread collects."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._unkeyed: dict[str, int] = {}  # units without a keyframe

    def expect(self, streams: Iterable[str]) -> None:
        """Create series for these streams."""
        self._seen = dict.fromkeys(streams, Seen())
        self._unkeyed = dict.fromkeys(self._seen, 0)

    def restored(self, streams: Mapping[str, Stream]) -> None:
        """Set the values of restored streams, as the worker before us committed them."""
        for name in self._seen.keys() & streams.keys():
            stream = streams[name]
            if stream.admission is not None:
                self._seen[name] = Seen(
                    stream.admission.record_ms / 1e3, remembered_s=stream.age_us / 1e6
                )

    def finished(self, items: Iterable[Item]) -> None:
        """Set the values of the streams in a batch."""
        for item in items:
            if item.fate is Fate.UNKEYED and isinstance(item.record, Frame):
                self._count_unkeyed(item.record.stream)
            stream, answer = item.stream, item.answer
            if stream is not None and answer is not None and stream.name in self._seen:
                self._seen[stream.name] = Seen(
                    item.record.record_ms / 1e3, answer.confidence, stream.age_us / 1e6
                )

    def _count_unkeyed(self, stream: str) -> None:
        if stream in self._unkeyed:
            self._unkeyed[stream] += 1

    def collect(self) -> Iterator[Metric]:
        """Return the metrics. The Prometheus client calls this, from any thread."""
        seen = list(self._seen.items())
        for field in fields(Seen):
            family = GaugeMetricFamily(*GAUGES[field.name], labels=["stream"])
            for name, newest in seen:
                family.add_metric([name], getattr(newest, field.name))
            yield family
        unkeyed = CounterMetricFamily(
            "longtake_stream_unkeyed_records",
            "Units of video of an expected stream that no keyframe was there for.",
            labels=["stream"],
        )
        for name, count in list(self._unkeyed.items()):
            unkeyed.add_metric([name], count)
        yield unkeyed
