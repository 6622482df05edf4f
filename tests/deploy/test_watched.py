"""A real Prometheus scrapes a real worker: the dashboard has data, every fault fires its alert."""

import signal
import time
from collections.abc import Iterator

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import until
from tests.deploy.expressions import ALERTS, OF_DASHBOARD
from tests.deploy.stage import GARBAGE, WHITE, WatchedStage, staged

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
provoked: set[str] = set()  # the alerts that a test of this module has made fire


@pytest.fixture(scope="module")
def whole_stage(
    prometheus: str, kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedStage]:
    with staged(prometheus, kafka.bootstrap, tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def stage(whole_stage: WatchedStage) -> WatchedStage:
    """Return the stage when no alert fires."""
    whole_stage.settle()
    return whole_stage


def fires(stage: WatchedStage, alert: str) -> None:
    stage.prometheus.fires(alert)
    provoked.add(alert)


@pytest.mark.parametrize("expression", OF_DASHBOARD)
def test_every_query_of_the_dashboard_has_an_answer(stage: WatchedStage, expression: str) -> None:
    until(lambda: stage.prometheus.ask(expression), expression)


def test_a_worker_that_does_not_answer_raises_an_alert(stage: WatchedStage) -> None:
    stage.worker.process.send_signal(signal.SIGSTOP)
    try:
        fires(stage, "WorkerDown")
    finally:
        stage.worker.process.send_signal(signal.SIGCONT)


def test_garbage_raises_an_alert(stage: WatchedStage) -> None:
    stage.feed.instead = GARBAGE
    try:
        fires(stage, "DeadLetters")
    finally:
        stage.feed.instead = None


@pytest.mark.slow
def test_numbers_that_explode_raise_an_alert(stage: WatchedStage) -> None:
    stage.feed.instead = WHITE
    try:
        fires(stage, "ModelNotFinite")
    finally:
        stage.feed.instead = None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "alert"),
    [
        ("slow engine", "PredictionsLate"),
        ("failing commits", "CommitsFail"),
        ("no broker", "WorkerWithoutBroker"),
        ("standing still", "ReadingStalls"),
    ],
)
def test_a_worker_in_trouble_raises_an_alert(stage: WatchedStage, trouble: str, alert: str) -> None:
    with stage.troubles.of(trouble):
        fires(stage, alert)


@pytest.mark.slow
def test_an_expected_stream_that_is_silent_raises_an_alert(stage: WatchedStage) -> None:
    stage.feed.silent = "gate"
    try:
        fires(stage, "ExpectedStreamSilent")
    finally:
        stage.feed.silent = ""


@pytest.mark.slow
def test_frames_that_come_faster_than_they_go_raise_an_alert(stage: WatchedStage) -> None:
    with stage.troubles.of("slow engine"):
        for n in range(400):
            stage.feed.publish(n)
        fires(stage, "LagGrows")


@pytest.mark.slow
def test_a_worker_that_does_not_get_its_memory_back_raises_an_alert(stage: WatchedStage) -> None:
    stage.kill()
    with stage.troubles.of("slow restore"):
        stage.launch_unready()
        fires(stage, "RestoreTooLong")
    stage.worker.ready()


@pytest.mark.slow
def test_frames_that_nobody_has_read_in_time_raise_an_alert(stage: WatchedStage) -> None:
    stage.kill()
    for n in range(50):
        stage.feed.publish(n)
    for partition in (0, 1):
        stage.cluster.expire(partition, -1)
    stage.start()
    fires(stage, "FramesExpired")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "alert"),
    [
        ("connecting", "CameraAbsent"),
        ("stalled", "CameraStalled"),
        ("frozen", "CameraFrozen"),
        ("refused", "CameraRefused"),
    ],
)
def test_a_camera_that_is_not_live_raises_an_alert(
    stage: WatchedStage, state: str, alert: str
) -> None:
    stage.cameras.becomes("gate", state)
    try:
        fires(stage, alert)
    finally:
        stage.cameras.becomes("gate", "live")


@pytest.mark.slow
def test_a_camera_that_fails_again_and_again_raises_an_alert(stage: WatchedStage) -> None:
    for _ in range(10):
        stage.cameras.fails("gate", "broken")
    fires(stage, "CameraFlaps")


@pytest.mark.slow
def test_frames_that_are_lost_before_the_log_raise_an_alert(stage: WatchedStage) -> None:
    stage.cameras.loses("gate", "oversized")
    fires(stage, "CameraLosesFrames")


@pytest.mark.slow
@pytest.mark.parametrize("alert", ["CamerasWithoutBroker", "SpoolFills"])
def test_cameras_that_spool_raise_an_alert(stage: WatchedStage, alert: str) -> None:
    try:
        for frames in range(10, 100, 10):
            stage.cameras.spools(frames)
            time.sleep(0.7)
        fires(stage, alert)
    finally:
        stage.cameras.spools(0)


@pytest.mark.slow
def test_a_camera_process_that_is_gone_raises_an_alert(stage: WatchedStage) -> None:
    with stage.no_cameras():
        fires(stage, "CameraProcessDown")


@pytest.mark.slow
def test_every_alert_was_provoked_here() -> None:
    assert provoked == set(ALERTS), "run the whole module"
