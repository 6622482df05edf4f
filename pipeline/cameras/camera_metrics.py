"""The Prometheus metrics of the camera process.

The label `camera` has the configured cameras as its only values. When a camera is removed from
the configuration, its series disappear too.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pipeline.broker.shots import Shot
from pipeline.cameras.relay import Relay
from pipeline.cameras.site import Site
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import ClockFault, NewEpoch, PictureFate, State
from pipeline.errors import LossReason

AGE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class CameraMetrics:
    """The metrics of one camera process, in their own registry. The relay's `FateCounter`."""

    def __init__(self, site: Site) -> None:
        # else prometheus_client exposes a second series per counter, which nothing reads
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._site = site
        self.registry.register(_CameraCollector(lambda: site.tallies))
        self._age = Histogram(
            "longtake_camera_publish_age_seconds",
            "From a frame's capture to the broker's having it.",
            buckets=AGE_BUCKETS,
            registry=self.registry,
        )
        self._bytes = Counter(
            "longtake_camera_published_bytes",
            "Bytes of frames that the broker has.",
            registry=self.registry,
        )

    def watch(self, relay: Relay) -> None:
        """Add the relay's metrics."""
        self.registry.register(_RelayCollector(relay))

    def count(self, stream: str, fate: PictureFate, shots: int) -> None:
        """See `FateCounter`."""
        self._site.count(stream, fate, shots)

    def published(self, shot: Shot, age_s: float) -> None:
        """See `FateCounter`."""
        self._site.count(shot.stream, PictureFate.PUBLISHED, 1)
        self._age.observe(max(0.0, age_s))
        self._bytes.inc(len(shot.content))


class _CameraCollector(Collector):
    """Reads the tallies at each scrape."""

    def __init__(self, tallies: Callable[[], Mapping[str, CameraTally]]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; the Prometheus client calls this, from any thread."""
        tallies = dict(self._tallies())
        count = GaugeMetricFamily("longtake_cameras", "Cameras that are configured.")
        count.add_metric([], len(tallies))
        state = GaugeMetricFamily(
            "longtake_camera_state", "1 for the state a camera is in.", labels=["camera", "state"]
        )
        newest = GaugeMetricFamily(
            "longtake_camera_last_frame_timestamp_seconds",
            "Capture time of a camera's newest frame; 0 before the first.",
            labels=["camera"],
        )
        frames = CounterMetricFamily(
            "longtake_camera_frames",
            "Pictures that a camera sent, by what became of them.",
            labels=["camera", "fate"],
        )
        failures = CounterMetricFamily(
            "longtake_camera_failures",
            "Times that a camera was lost, or could not be had.",
            labels=["camera", "reason"],
        )
        epochs = CounterMetricFamily(
            "longtake_camera_epochs",
            "Times that its pictures did not go on from those before.",
            labels=["camera", "reason"],
        )
        redated = CounterMetricFamily(
            "longtake_camera_redated_frames",
            "Pictures that their own time stamps did not date.",
            labels=["camera", "reason"],
        )
        distrusted = GaugeMetricFamily(
            "longtake_camera_clock_distrusted",
            "1 for the reason why a camera's time stamps are not trusted at present.",
            labels=["camera", "reason"],
        )
        passed = GaugeMetricFamily(
            "longtake_camera_passed_through",
            "1 while a camera's own H.264 is published.",
            labels=["camera"],
        )
        for name, tally in tallies.items():
            passed.add_metric([name], float(tally.published.units))
            newest.add_metric([name], tally.captured_us / 1e6)
            for one in State:
                state.add_metric([name, one], float(one is tally.state))
            for fate in PictureFate:
                frames.add_metric([name, fate], tally.fates[fate])
            for reason in LossReason:
                failures.add_metric([name, reason], tally.losses[reason])
            for epoch in NewEpoch:
                epochs.add_metric([name, epoch], tally.epochs[epoch])
            for fault in ClockFault:
                redated.add_metric([name, fault], tally.redated[fault])
                distrusted.add_metric([name, fault], float(fault is tally.distrusted))
        yield from (count, state, newest, frames, failures, epochs, redated, distrusted, passed)


class _RelayCollector(Collector):
    """Reads the state of the relay and its spool at each scrape."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; the Prometheus client calls this, from any thread."""
        frames, size = self._relay.spooled
        up = float(self._relay.broker_up)
        for name, words, value in (
            ("longtake_camera_broker_up", "1 while the broker takes frames.", up),
            ("longtake_spool_frames", "Frames that wait for the broker on disk.", frames),
            ("longtake_spool_bytes", "Their bytes.", size),
        ):
            yield GaugeMetricFamily(name, words, value=value)
