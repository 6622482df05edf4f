"""The broker is killed under live cameras and restarted: spooled frames arrive, in order."""

import json
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Running, until, write_settings
from tests.clusters import KafkaCluster
from tests.engines.bundles import write_tiny

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

NAMES = ("gate", "harbour", "market", "yard")
FPS = 10


def exceeds(running: Running, sample: str, least: float) -> bool:
    return running.metric(sample) > least


class Scene:
    """Four cameras, a worker, and the broker between them."""

    def __init__(self, kafka: LocalKafka, folder: Path, stack: ExitStack) -> None:
        self.kafka = kafka
        self.cluster = KafkaCluster(kafka.connection, 2)
        stack.callback(self.cluster.close)
        self._folder, self._stack = folder, stack
        self.cameras = [MjpegCamera(name, fps=FPS, width=160, height=120) for name in NAMES]
        self.server = stack.enter_context(MjpegServer(*self.cameras))
        bundle = write_tiny(folder / "tiny")
        self._settings = write_settings(folder / "worker.toml", self.cluster, bundle=str(bundle))
        self.worker = self._start("worker", self._settings).ready()

    def film(self, spool_s: float) -> Running:
        lines = [
            f'bootstrap = "{self.kafka.bootstrap}"',
            "metrics_port = 0",
            f"spool_s = {spool_s}",
        ]
        topics = self.cluster.topics
        lines += [f'frames_topic = "{topics.frames}"', f'cameras_topic = "{topics.cameras}"']
        lines += ["states_s = 1"]
        lines += [f'[camera.{name}]\nurl = "{self.server.url(name)}"' for name in NAMES]
        file = self._folder / "cameras.toml"
        file.write_text("\n".join(lines))
        camera = self._start("camera", file)
        for name in NAMES:
            sample = f'longtake_camera_frames_total{{camera="{name}",fate="published"}}'
            until(partial(exceeds, camera, sample, 2 * FPS), f"frames of {name}")
        return camera

    def _start(self, command: str, config: Path) -> Running:
        running = Running(self._folder / f"{command}.log", command, "--config", config)
        self._stack.callback(running.process.wait)
        self._stack.callback(running.process.kill)
        return running

    def supervise(self) -> None:
        """Restart the worker if it has ended, as a supervisor does. 70: a commit can hang (K9)."""
        code = self.worker.process.poll()
        if code is None:
            return
        assert code == 70, self.worker.log
        self.worker = self._start("worker", self._settings)

    def be_away(self, seconds: float) -> None:
        self.kafka.kill(1)
        time.sleep(seconds)
        self.kafka.restart(1)

    def frames(self) -> Mapping[str, list[int]]:
        """Return the `seq` of all frames in the log, by camera, in log order."""
        records = self.cluster.committed(self.cluster.topics.frames)
        return {n: [_seq(one) for one in records if one.key == n.encode()] for n in NAMES}

    def predictions(self) -> Mapping[str, list[int]]:
        self.supervise()
        records = self.cluster.committed(self.cluster.topics.predictions)
        values = [json.loads(one.value or b"") for one in records]
        return {n: [value["seq"] for value in values if value["stream"] == n] for n in NAMES}

    def states(self) -> list[tuple[str, str]]:
        """Return the states of cameras in the log."""
        records = self.cluster.committed(self.cluster.topics.cameras)
        values = [json.loads(one.value or b"") for one in records]
        return [(value["stream"], value["state"]) for value in values]


def _seq(record: Record) -> int:
    return int(dict(record.headers)["seq"])


@pytest.fixture
def scene(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(own_kafka, tmp_path, stack)


def caught_up(camera: Running) -> None:
    until(lambda: camera.metric("longtake_camera_broker_up") == 1, "a broker that takes frames")
    until(lambda: camera.metric("longtake_spool_frames") == 0, "an empty spool")


def test_what_came_while_the_broker_was_dead_arrives_in_order_and_is_predicted_once(
    scene: Scene,
) -> None:
    camera = scene.film(spool_s=60)
    scene.be_away(6)
    caught_up(camera)
    time.sleep(1)
    assert camera.end(signal.SIGTERM)[0] == 0
    sent = int(camera.says(r"4 cameras, .* (\d+) frames sent, 0 lost\n$")[1])
    for seqs in scene.frames().values():
        assert sorted(set(seqs)) == list(range(max(seqs) + 1))
        assert dict.fromkeys(seqs) == dict.fromkeys(sorted(set(seqs)))  # first time in order
    until(lambda: sum(map(len, scene.predictions().values())) >= sent, "all predictions")
    assert all(seqs == list(range(len(seqs))) for seqs in scene.predictions().values())


@pytest.mark.slow
def test_states_of_cameras_are_published_again_when_the_broker_is_back(scene: Scene) -> None:
    camera = scene.film(spool_s=60)
    scene.be_away(12)
    camera.says("the states of cameras are not published for now: .*; frames are not affected")
    camera.says("the states of cameras are published again")
    caught_up(camera)
    assert camera.end(signal.SIGTERM)[0] == 0
    assert sorted(scene.states()[-len(NAMES) :]) == [(name, "gone") for name in NAMES]


@pytest.mark.slow
def test_what_is_too_old_for_the_spool_is_dropped_and_counted(scene: Scene) -> None:
    camera = scene.film(spool_s=10)
    scene.be_away(30)
    caught_up(camera)
    time.sleep(1)
    text = camera.get("/metrics")[1]
    expired = {
        name: int(float(count))
        for name, count in re.findall(r'camera="(\w+)",fate="expired"} (\S+)', text)
    }
    camera.end(signal.SIGTERM)
    frames = scene.frames()
    missing = {n: max(seqs) + 1 - len(set(seqs)) for n, seqs in frames.items()}
    assert missing == expired
    assert 150 < min(expired.values()) <= max(expired.values()) < 350  # 20 s, and Kafka's start
    for seqs in frames.values():
        assert dict.fromkeys(seqs) == dict.fromkeys(sorted(set(seqs)))
    assert "dropped as too old" in camera.log
