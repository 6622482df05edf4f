"""What all contract suites of the log run on: the log in memory, and a real Kafka."""

from collections.abc import Iterator

import pytest

from tests.clusters import PARTITIONS, Cluster, KafkaCluster, MemoryCluster


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "memory":
        yield MemoryCluster(PARTITIONS)
        return
    made = KafkaCluster(request.getfixturevalue("kafka").connection, PARTITIONS)
    yield made
    made.close()
