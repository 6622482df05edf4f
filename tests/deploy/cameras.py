"""A stand-in for the camera process: it serves the same metrics without any camera."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.process_collector import ProcessCollector

STATES = ("connecting", "live", "stalled", "frozen", "refused")
FATES = (
    "published",
    "thinned",
    "damaged",
    "unkeyed",
    "frozen",
    "overflowed",
    "expired",
    "oversized",
)
FAULTS = ("slow", "fast", "still", "wild", "jumped")
REASONS = ("unreachable", "refused", "stalled", "broken", "ended")

# metric name as in a scrape -> type and labels
METRICS = {
    "longtake_cameras": ("gauge", ()),
    "longtake_camera_state": ("gauge", ("camera", "state")),
    "longtake_camera_frames_total": ("counter", ("camera", "fate")),
    "longtake_camera_failures_total": ("counter", ("camera", "reason")),
    "longtake_camera_epochs_total": ("counter", ("camera", "reason")),
    "longtake_camera_redated_frames_total": ("counter", ("camera", "reason")),
    "longtake_camera_clock_distrusted": ("gauge", ("camera", "reason")),
    "longtake_camera_passed_through": ("gauge", ("camera",)),
    "longtake_camera_last_frame_timestamp_seconds": ("gauge", ("camera",)),
    "longtake_camera_publish_age_seconds": ("histogram", ()),
    "longtake_camera_published_bytes_total": ("counter", ()),
    "longtake_camera_broker_up": ("gauge", ()),
    "longtake_spool_frames": ("gauge", ()),
    "longtake_spool_bytes": ("gauge", ()),
}
VALUES = {
    "longtake_camera_state": STATES,
    "longtake_camera_frames_total": FATES,
    "longtake_camera_failures_total": REASONS,
    "longtake_camera_epochs_total": ("start", "clock", "size", "content"),
    "longtake_camera_redated_frames_total": FAULTS,
    "longtake_camera_clock_distrusted": FAULTS,
    "longtake_camera_last_frame_timestamp_seconds": (),
}
KINDS = {"gauge": Gauge, "counter": Counter, "histogram": Histogram}


class CamerasStandIn:
    """Serves metrics of cameras, as a test sets them; at first all cameras are live."""

    def __init__(self, *cameras: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.metrics = {
            name: KINDS[kind](name, f"Stand-in for {name}.", labels, registry=self.registry)
            for name, (kind, labels) in METRICS.items()
        }
        for camera in cameras:
            self.becomes(camera, "live")
            for name, values in VALUES.items():
                for value in values:
                    self.metrics[name].labels(camera, value)
            self.metrics["longtake_camera_last_frame_timestamp_seconds"].labels(camera)
            self.metrics["longtake_camera_passed_through"].labels(camera)
        self.metrics["longtake_cameras"].set(len(cameras))
        self.metrics["longtake_camera_broker_up"].set(1)

    def becomes(self, camera: str, state: str) -> None:
        for one in STATES:
            self.metrics["longtake_camera_state"].labels(camera, one).set(one == state)

    def published(self, camera: str, content: bytes) -> None:
        self.metrics["longtake_camera_frames_total"].labels(camera, "published").inc()
        self.metrics["longtake_camera_publish_age_seconds"].observe(0.02)
        self.metrics["longtake_camera_published_bytes_total"].inc(len(content))

    def loses(self, camera: str, fate: str) -> None:
        self.metrics["longtake_camera_frames_total"].labels(camera, fate).inc()

    def fails(self, camera: str, reason: str) -> None:
        self.metrics["longtake_camera_failures_total"].labels(camera, reason).inc()

    def trusts(self, camera: str, distrusted: str = "") -> None:
        for one in FAULTS:
            gauge = self.metrics["longtake_camera_clock_distrusted"].labels(camera, one)
            gauge.set(one == distrusted)

    def spools(self, frames: int) -> None:
        self.metrics["longtake_camera_broker_up"].set(frames == 0)
        self.metrics["longtake_spool_frames"].set(frames)
        self.metrics["longtake_spool_bytes"].set(frames * 1000)

    @contextmanager
    def served(self, port: int) -> Iterator[threading.Thread]:
        server, thread = start_http_server(port, "127.0.0.1", self.registry)
        yield thread
        server.shutdown()
        server.server_close()
        thread.join()
