"""A real Prometheus scrapes a real camera process whose cameras have faults."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.local.ports import free_ports
from tests.cameras.mjpeg import MjpegCamera, MjpegServer
from tests.cli.commands import Running, until
from tests.clusters import KafkaCluster
from tests.deploy.watching import Prometheus, watching

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

CONFIG = """
bootstrap = "{bootstrap}"
frames_topic = "{topic}"
metrics_port = {metrics}
spool_s = 8
[defaults]
connect_s = 2
stall_s = 2
frozen_s = 1.5
[camera.gate]
url = "http://127.0.0.1:{port}/gate"
[camera.yard]
url = "http://127.0.0.1:{port}/yard"
"""


@dataclass
class Scene:
    """Two cameras, the process that publishes them, and a Prometheus."""

    gate: MjpegCamera
    process: Running
    prometheus: Prometheus

    def all_live(self) -> bool:
        return self.prometheus.ask('longtake_camera_state{state="live"}') == [1, 1]


@pytest.fixture
def scene(prometheus: str, kafka: LocalKafka, tmp_path: Path) -> Iterator[Scene]:
    cluster, gate, (metrics,) = (
        KafkaCluster(kafka.connection, 1),
        MjpegCamera("gate"),
        free_ports(1),
    )
    with MjpegServer(gate, MjpegCamera("yard")) as server:
        where = {"bootstrap": kafka.bootstrap, "topic": cluster.topics.frames, "port": server.port}
        (tmp_path / "cameras.toml").write_text(CONFIG.format(metrics=metrics, **where))
        process = Running(tmp_path / "log", "camera", "--config", tmp_path / "cameras.toml")
        with watching(prometheus, tmp_path / "watch", workers=[], cameras=[metrics]) as watched:
            scene = Scene(gate, process, watched)
            until(scene.all_live, "two live cameras")
            yield scene
        process.process.kill()
        process.process.wait()
    cluster.close()


def mute(gate: MjpegCamera) -> None:
    gate.muted = True


def lock(gate: MjpegCamera) -> None:
    gate.login, gate.closes_after = "who:knows", 1  # closes, so that the login is required again


@pytest.mark.parametrize(
    ("trouble", "alert"),
    [
        (mute, "CameraAbsent"),
        (mute, "CameraStalled"),
        (MjpegCamera.freeze, "CameraFrozen"),
        (lock, "CameraRefused"),
    ],
)
def test_a_camera_in_trouble_raises_an_alert_and_the_others_do_not(
    scene: Scene, trouble: Callable[[MjpegCamera], None], alert: str
) -> None:
    trouble(scene.gate)
    scene.prometheus.fires(alert)
    assert scene.prometheus.ask(f'ALERTS{{alertname="{alert}", camera="yard"}}') == []
    assert scene.prometheus.ask('longtake_camera_state{camera="yard", state="live"}') == [1]


def test_a_camera_process_that_is_killed_raises_an_alert(scene: Scene) -> None:
    scene.process.process.kill()
    scene.prometheus.fires("CameraProcessDown")


def test_a_broker_that_is_away_raises_an_alert_and_so_do_the_frames_lost_by_it(
    scene: Scene, kafka: LocalKafka
) -> None:
    os.kill(kafka.pids[1], signal.SIGSTOP)
    try:
        for alert in ("CamerasWithoutBroker", "SpoolFills", "CameraLosesFrames"):
            scene.prometheus.fires(alert)
    finally:
        os.kill(kafka.pids[1], signal.SIGCONT)
    scene.prometheus.calms("CamerasWithoutBroker")
