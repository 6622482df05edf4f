"""A frame that crashes the process in a native decoder stops its partition only briefly."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.clusters import KafkaCluster
from tests.faults.test_failover import PARTITIONS, STREAMS, Crew, assert_chains_hold
from tests.pipeline.media.test_crash_child import DEADLY, HOLES
from tests.pipeline.pictures import jpeg

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture
def crew(kafka: LocalKafka, tmp_path: Path) -> Iterator[Crew]:
    """Workers with a decoder that crashes on one kind of frame."""
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    made = Crew(cluster, tmp_path)
    (tmp_path / "holes").mkdir()
    (tmp_path / "holes" / "sitecustomize.py").write_text(HOLES)
    made.environment["PYTHONPATH"] = str(tmp_path / "holes")
    yield made
    made.close()
    cluster.close()


def publish(crew: Crew, seq: int, content: bytes) -> None:
    captured = b"%d" % (1_700_000_000_000 + seq * 100)
    headers = (("seq", b"%d" % seq), ("captured-at", captured))
    crew.cluster.publish(0, b"cam-0", content, headers)


def test_a_frame_that_kills_three_workers_is_put_aside_by_the_fourth(crew: Crew) -> None:
    crew.launch("one", "--slot", "one")
    crew.film(10)
    crew.await_predictions(crew.filmed)
    publish(crew, 10, DEADLY)
    for _ in range(3):
        assert crew.processes["one"].wait(60) == -signal.SIGABRT
        crew.launch("one", "--slot", "one")
    publish(crew, 11, jpeg(16, 16, seed=1))
    records = crew.await_predictions(crew.filmed + 1)
    assert crew.processes["one"].poll() is None
    assert_chains_hold(records)
    assert len(records) == 10 * len(STREAMS) + 1
    (letter,) = crew.cluster.committed(crew.cluster.topics.dead_letters)
    assert (letter.value, dict(letter.headers)["reason"]) == (DEADLY, b"crash")
    after = json.loads(next(r for r in reversed(records) if r.key == b"cam-0").value or b"")
    assert after["memory"]["frames"] == 10
