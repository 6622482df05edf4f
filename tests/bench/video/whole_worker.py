"""The CPU time of a whole worker, on a real Kafka, for a film as JPEGs and as H.264."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.broker.shots import Shot
from pipeline.local.cluster import LocalKafka
from pipeline.records import Headers
from tests.bench.frames import RATE_HZ, STREAMS
from tests.bench.served import Served
from tests.bench.video.costs import AS_JPEG, AS_UNITS, shoot


class WholeWorkers:
    """Runs workers over films. Each film is that of 8 streams."""

    def __init__(self, kafka: LocalKafka, bundle: Path, folder: Path) -> None:
        self._kafka, self._bundle, self._folder = kafka, bundle, folder
        self._served: dict[Path, tuple[Served, Served]] = {}
        self._runs = 0

    def measure(self, film: Path) -> tuple[float, float]:
        """Return the CPU ms of a frame: as JPEG, and as H.264. All frames are predicted."""
        if film not in self._served:
            self._served[film] = self._publish(film, AS_JPEG), self._publish(film, AS_UNITS)
        self._runs += 1
        jpeg, h264 = (served.run(self._runs, warm=0)[0].cpu_ms for served in self._served[film])
        return jpeg, h264

    def _publish(self, film: Path, obstacle: str | None) -> Served:
        kind = "jpeg" if obstacle is AS_JPEG else "h264"
        name = f"video-{len(self._served)}-{kind}"
        served = Served(self._kafka, self._bundle, name, self._folder)
        shots, _ = shoot(film, obstacle)
        served.publish_records(of_streams(shots, STREAMS, began_us=round(time.time() * 1e6)))
        return served


def of_streams(
    shots: Sequence[Shot], streams: Sequence[str], *, began_us: int
) -> Iterator[tuple[str, bytes, Headers]]:
    """Yield the same shots as the records of several streams by turns, at the model's rate."""
    for shot in shots:
        captured_us = began_us + round(1e6 * shot.seq / RATE_HZ)
        for stream in streams:
            own = replace(shot, stream=stream, captured_us=captured_us)
            yield stream, own.content, own.headers
