"""A real Prometheus scrapes a real worker: the dashboard has data, every fault fires its alert."""

import signal
from collections.abc import Iterator
from itertools import count

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import until
from tests.deploy.expressions import OF_DASHBOARD
from tests.deploy.stage import GARBAGE, WHITE, WatchedStage, staged
from tests.pipeline.media.video.encoding import encoded

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def whole_stage(
    prometheus: str, kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedStage]:
    with staged(prometheus, kafka.connection, tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def stage(whole_stage: WatchedStage) -> WatchedStage:
    """Return the stage when no alert fires."""
    whole_stage.settle()
    return whole_stage


@pytest.mark.parametrize("expression", OF_DASHBOARD)
def test_every_query_of_the_dashboard_has_an_answer(stage: WatchedStage, expression: str) -> None:
    until(lambda: stage.prometheus.ask(expression), expression)


def test_a_worker_that_does_not_answer_raises_an_alert(stage: WatchedStage) -> None:
    stage.worker.process.send_signal(signal.SIGSTOP)
    try:
        stage.prometheus.fires("WorkerDown")
    finally:
        stage.worker.process.send_signal(signal.SIGCONT)


def test_garbage_raises_an_alert(stage: WatchedStage) -> None:
    stage.feed.instead = GARBAGE
    try:
        stage.prometheus.fires("DeadLetters")
    finally:
        stage.feed.instead = None


@pytest.mark.slow
def test_video_without_its_keyframes_raises_an_alert(stage: WatchedStage) -> None:
    stage.feed.instead = encoded("cabac")[1]
    stage.feed.headers = (("content-type", b"video/h264"),)
    try:
        stage.prometheus.fires("UnitsUnkeyed")
    finally:
        stage.feed.instead, stage.feed.headers = None, ()


@pytest.mark.slow
def test_numbers_that_explode_raise_an_alert(stage: WatchedStage) -> None:
    stage.feed.instead = WHITE
    try:
        stage.prometheus.fires("ModelNotFinite")
    finally:
        stage.feed.instead = None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "alert"),
    [
        ("slow engine", "PredictionsLate"),
        ("failing commits", "CommitsFail"),
        ("no broker", "WorkerWithoutBroker"),
        ("silent ends", "WorkerWithoutBroker"),
        ("failing commits", "CommitsStand"),
        ("standing still", "ReadingStalls"),
    ],
)
def test_a_worker_in_trouble_raises_an_alert(stage: WatchedStage, trouble: str, alert: str) -> None:
    with stage.troubles.of(trouble):
        stage.prometheus.fires(alert)


@pytest.mark.slow
@pytest.mark.parametrize("alert", ["StreamsTurnedAway", "StreamsNearLimit"])
def test_more_names_than_a_partition_may_have_raise_an_alert(
    stage: WatchedStage, alert: str
) -> None:
    numbers = count()

    def fires_while_they_come() -> bool:
        stage.feed.publish_as(f"name-{next(numbers)}")
        return alert in stage.prometheus.firing()

    until(fires_while_they_come, f"the alert {alert}")


@pytest.mark.slow
def test_an_expected_stream_that_is_silent_raises_an_alert(stage: WatchedStage) -> None:
    stage.feed.silent = "gate"
    try:
        stage.prometheus.fires("ExpectedStreamSilent")
    finally:
        stage.feed.silent = ""


@pytest.mark.slow
def test_frames_that_come_faster_than_they_go_raise_an_alert(stage: WatchedStage) -> None:
    with stage.troubles.of("slow engine"):
        for n in range(400):
            stage.feed.publish(n)
        stage.prometheus.fires("LagGrows")


@pytest.mark.slow
def test_a_worker_that_does_not_get_its_memory_back_raises_an_alert(stage: WatchedStage) -> None:
    stage.kill()
    with stage.troubles.of("slow restore"):
        stage.launch_unready()
        stage.prometheus.fires("RestoreTooLong")
    stage.worker.ready()


@pytest.mark.slow
def test_a_group_whose_workers_are_gone_raises_an_alert(stage: WatchedStage) -> None:
    stage.kill()
    stage.prometheus.fires("GroupWithoutWorkers")
    stage.launch()


@pytest.mark.slow
def test_frames_that_nobody_has_read_in_time_raise_an_alert(stage: WatchedStage) -> None:
    stage.kill()
    for n in range(50):
        stage.feed.publish(n)
    for partition in (0, 1):
        stage.cluster.expire(partition, -1)
    stage.start()
    stage.prometheus.fires("FramesExpired")


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
        stage.prometheus.fires(alert)
    finally:
        stage.cameras.becomes("gate", "live")


@pytest.mark.slow
def test_a_camera_that_fails_again_and_again_raises_an_alert(stage: WatchedStage) -> None:
    for _ in range(10):
        stage.cameras.fails("gate", "broken")
    stage.prometheus.fires("CameraFlaps")


@pytest.mark.slow
def test_a_camera_with_many_damaged_pictures_raises_an_alert(stage: WatchedStage) -> None:
    for _ in range(1000):
        stage.cameras.loses("gate", "damaged")
    stage.prometheus.fires("CameraDamaged")


@pytest.mark.slow
def test_a_camera_whose_clock_is_not_trusted_raises_an_alert(stage: WatchedStage) -> None:
    stage.cameras.trusts("gate", distrusted="slow")
    try:
        stage.prometheus.fires("CameraClockDistrusted")
    finally:
        stage.cameras.trusts("gate")


@pytest.mark.slow
def test_frames_that_are_lost_before_the_log_raise_an_alert(stage: WatchedStage) -> None:
    stage.cameras.loses("gate", "oversized")
    stage.prometheus.fires("CameraLosesFrames")


@pytest.mark.slow
@pytest.mark.parametrize("alert", ["CamerasWithoutBroker", "SpoolFills"])
def test_cameras_that_spool_raise_an_alert(stage: WatchedStage, alert: str) -> None:
    frames = count(10, 10)

    def fires_while_they_grow() -> bool:
        stage.cameras.spools(next(frames))
        return alert in stage.prometheus.firing()

    try:
        until(fires_while_they_grow, f"the alert {alert}")
    finally:
        stage.cameras.spools(0)


@pytest.mark.slow
def test_a_camera_process_that_is_gone_raises_an_alert(stage: WatchedStage) -> None:
    with stage.no_cameras():
        stage.prometheus.fires("CameraProcessDown")
