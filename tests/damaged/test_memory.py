"""A worker that reads the damaged corpus again and again does not grow."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.heap import give_large_blocks_back
from pipeline.local.cluster import LocalKafka
from tests.clusters import KafkaCluster
from tests.damaged.corpus import PARTITIONS, standard
from tests.damaged.publishing import publish_all
from tests.damaged.watched import MeasuredWorker
from tests.engines.bundles import write_tiny

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is asked to trim"),
]

WARM_UP = 2
MOST_GROWTH = 1.05


@pytest.fixture
def cluster(kafka: LocalKafka) -> Iterator[KafkaCluster]:
    made = KafkaCluster(kafka.connection, PARTITIONS)
    yield made
    made.close()


def resident_bytes(watched: MeasuredWorker) -> float:
    """Return the resident memory after free memory was returned: a leak would increase it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return watched.metrics.registry.get_sample_value("process_resident_memory_bytes") or 0.0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("repeats", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_a_worker_grows_by_less_than_a_twentieth_over_damaged_input(
    cluster: KafkaCluster, tmp_path: Path, repeats: int
) -> None:
    give_large_blocks_back()
    resident: list[float] = []
    with MeasuredWorker(cluster, write_tiny(tmp_path / "tiny"), cluster.config) as watched:
        for done in range(1, WARM_UP + repeats + 1):
            publish_all(cluster, standard())
            watched.turn_until(done * len(standard()))
            resident.append(resident_bytes(watched))
    assert resident[-1] <= resident[WARM_UP - 1] * MOST_GROWTH, resident
