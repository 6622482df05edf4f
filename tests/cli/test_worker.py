"""`longtake worker`: its web server, and how it ends."""

import signal
from contextlib import closing
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.commands import Group, Start, until, write_settings
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka


def test_a_worker_tells_of_itself_over_http(group: Group, start: Start) -> None:
    worker = start("worker", "--config", group.file).ready()
    assert worker.get("/healthz") == (200, "alive\n")
    assert worker.get("/readyz") == (200, "ready\n")
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=1))
    group.predictions(1)
    until(lambda: worker.metric('longtake_records_total{fate="predicted"}') == 1, "one predicted")
    families = {f.name: f for f in text_string_to_metric_families(worker.get("/metrics")[1])}
    (who,) = families["longtake_worker_info"].samples
    assert who.labels["bundle"].startswith("tiny@")
    assert families["longtake_partitions"].samples[0].value == 2
    assert families["longtake_frame_age_seconds"].type == "histogram"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_worker_that_is_told_to_stop_commits_what_it_has_finished(
    group: Group, start: Start, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    folder = tmp_path_factory.mktemp("slow")
    slow = write_settings(folder / "l.toml", group.cluster, checkpoint_s=2, bundle=_bundle(group))
    worker = start("worker", "--config", slow).ready()
    for n in range(4):
        group.cluster.publish(n % 2, f"cam-{n % 2}".encode(), jpeg(16, 16, seed=n))
    until(lambda: worker.metric("longtake_batch_frames_sum") == 4, "four frames in the engine")
    code, seconds = worker.end(number)
    assert (code, seconds < 3) == (0, True)
    assert len(group.predictions(4)) == 4


def test_a_worker_whose_engine_cannot_start_tells_its_probes_why(
    group: Group, start: Start
) -> None:
    worker = start("worker", "--config", group.file, "--engine", "tensorrt")
    address = worker.says("http://([^ ]+)/healthz says so for 30 s")[1]
    why = "the engine cannot start: TensorRT is not installed: on a machine with an NVIDIA GPU"
    for path in ("/healthz", "/readyz"):
        with closing(HTTPConnection(address, timeout=5)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read().decode()[: len(why)]) == (503, why)


def _bundle(group: Group) -> str:
    return next(
        line.split('"')[1]
        for line in group.file.read_text("utf-8").splitlines()
        if line.startswith("bundle")
    )
