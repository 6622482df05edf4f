"""Two hundred cameras in one process, three of them with different faults."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.media.pictures import decode_upright
from pipeline.records import Record
from tests.cameras.blocks import read
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Running, until
from tests.clusters import KafkaCluster

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

CAMERAS = 200
SECONDS = 300
WARM_S = 60
RSS_GROWTH = 1.05
LOOKS = 10
GARBAGE, SILENT, FLAPPING = "cam-007", "cam-077", "cam-177"
NAMES = [f"cam-{n:03}" for n in range(CAMERAS)]
WELL = [name for name in NAMES if name not in (GARBAGE, SILENT, FLAPPING)]


class Scene:
    """The cameras, the process that reads them, and the topic that it publishes to."""

    def __init__(self, kafka: LocalKafka, folder: Path, stack: ExitStack) -> None:
        self.cluster = KafkaCluster(kafka.connection, 4)
        stack.callback(self.cluster.close)
        cameras = {n: MjpegCamera(n, fps=1, width=160, height=120) for n in NAMES}
        cameras[GARBAGE].garbage = True
        cameras[SILENT].muted = True
        cameras[FLAPPING].closes_after = 3
        server = stack.enter_context(MjpegServer(*cameras.values()))
        file = folder / "cameras.toml"
        lines = [f'bootstrap = "{kafka.bootstrap}"', "metrics_port = 0"]
        lines += [f'frames_topic = "{self.cluster.topics.frames}"']
        lines += [f'[camera.{name}]\nurl = "{server.url(name)}"' for name in NAMES]
        file.write_text("\n".join(lines))
        self.process = Running(folder / "camera.log", "camera", "--config", file)
        stack.callback(self.process.process.wait)
        stack.callback(self.process.process.kill)

    @property
    def live(self) -> int:
        text = self.process.get("/metrics")[1].splitlines()
        return sum(line.endswith('state="live"} 1.0') for line in text)

    def least_rss_bytes(self) -> float:
        """The least of some looks, a second apart: buffers come and go, a leak only comes."""
        found = []
        for _ in range(LOOKS):
            found.append(self.process.metric("process_resident_memory_bytes"))
            time.sleep(1.0)
        return min(found)


def numbers(records: list[Record], name: str) -> list[int]:
    pictures = [decode_upright(r.value or b"") for r in records if r.key == name.encode()]
    return [read(picture.to_ndarray(format="rgb24")).number for picture in pictures]


@pytest.fixture
def scene(kafka: LocalKafka, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(kafka, tmp_path, stack)


def test_they_hold_for_five_minutes_and_the_broken_ones_harm_nobody(scene: Scene) -> None:
    until(lambda: scene.live >= len(WELL), "all cameras that are well")
    began_s = time.monotonic()
    time.sleep(WARM_S)
    warm_bytes = scene.least_rss_bytes()
    time.sleep(SECONDS - WARM_S - 2 * LOOKS)
    assert scene.least_rss_bytes() < RSS_GROWTH * warm_bytes
    assert scene.live >= len(WELL)
    lasted_s = time.monotonic() - began_s
    assert scene.process.end(signal.SIGTERM)[0] == 0
    records = list(scene.cluster.committed(scene.cluster.topics.frames))
    for name in WELL:
        seen = numbers(records, name)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert len(seen) > 0.98 * lasted_s
    assert numbers(records, GARBAGE) == numbers(records, SILENT) == []
    assert len(numbers(records, FLAPPING)) > 10
