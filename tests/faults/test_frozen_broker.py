"""A Kafka that is connected and frozen: worker and cameras are not ready, and go on afterwards."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Group, Running, until
from tests.clusters import KafkaCluster
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg, write_video

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


class Scene:
    """A worker that has predicted one frame, on a Kafka that can be frozen."""

    def __init__(self, kafka: LocalKafka, folder: Path, stack: ExitStack) -> None:
        self._kafka = kafka
        self._folder, self._stack = folder, stack
        self.cluster = KafkaCluster(kafka.connection, 1)
        stack.callback(self.cluster.close)
        self.group = Group(self.cluster, folder, write_tiny(folder / "tiny"))
        self.worker = self.start("worker", "--config", self.group.file).ready()
        self.publish()
        self.group.predictions(1)

    def start(self, command: str, *arguments: str | Path) -> Running:
        running = Running(self._folder / f"{command}.log", command, *arguments)
        self._stack.callback(running.process.wait)
        self._stack.callback(running.process.kill)
        return running

    def publish(self) -> None:
        self.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=1))

    def freeze(self) -> None:
        self._kafka.stop_node(1, signal.SIGSTOP)

    def thaw(self) -> None:
        self._kafka.stop_node(1, signal.SIGCONT)


@pytest.fixture
def scene(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        stack.callback(own_kafka.stop_node, 1, signal.SIGCONT)
        yield Scene(own_kafka, tmp_path, stack)


@pytest.fixture
def shared_scene(kafka: LocalKafka, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(kafka, tmp_path, stack)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", [50 * n for n in range(20)])


def unready(running: Running) -> Callable[[], bool]:
    return lambda: running.get("/readyz")[0] == 503


def test_a_worker_whose_kafka_is_frozen_is_not_ready_until_it_answers(scene: Scene) -> None:
    scene.publish()
    scene.freeze()
    until(unready(scene.worker), "a worker that is not ready")
    assert re.search(r" for \d+ s", scene.worker.get("/readyz")[1])
    assert scene.worker.get("/healthz")[0] == 200
    assert scene.worker.metric("longtake_ready") == 0
    until(lambda: scene.worker.metric("longtake_broker_silent_seconds") > 10, "a silent broker")
    scene.thaw()
    scene.worker.ready()
    assert scene.worker.log.count("not ready: ") == 1
    assert scene.worker.log.count("Kafka answers again") == 1
    scene.publish()
    scene.group.predictions(3)


def test_cameras_whose_kafka_is_frozen_are_not_ready_until_it_answers(
    scene: Scene, clip: Path
) -> None:
    where = ("--bootstrap", scene.cluster.config.bootstrap, "--topic", scene.group.topics.frames)
    cameras = scene.start("camera", clip, "--stream", "a", "--loop", "--metrics-port", "0", *where)
    cameras.ready()
    scene.freeze()
    until(unready(cameras), "cameras that are not ready")
    assert cameras.get("/readyz")[1] == "the broker does not answer; frames are spooled\n"
    assert cameras.metric("longtake_camera_broker_up") == 0
    scene.thaw()
    cameras.ready()


@pytest.mark.parametrize(
    "topic",
    [
        "dead_letters",
        pytest.param("state", marks=pytest.mark.slow),
        pytest.param("predictions", marks=pytest.mark.slow),
    ],
)
def test_a_worker_whose_topic_is_deleted_ends_and_names_it(shared_scene: Scene, topic: str) -> None:
    name = getattr(shared_scene.group.topics, topic)
    shared_scene.cluster.delete(name)
    shared_scene.cluster.publish(0, b"cam-1", b"no picture")
    shared_scene.publish()
    ended = shared_scene.worker.ended()
    assert (ended.code, f"topic {name} is missing" in ended.complaint) == (11, True)
