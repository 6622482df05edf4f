"""A real Kafka starts with the settings of compose.yaml, converted as its image does it."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.config import WorkerConfig
from pipeline.local.cluster import LocalKafka
from pipeline.local.ports import free_ports
from pipeline.records import Topics
from tests.deploy.composition import service

SETTINGS = {
    name.removeprefix("KAFKA_").lower().replace("_", "."): value
    for name, value in service("kafka").environment.items()
}


@pytest.fixture
def broker(kafka: LocalKafka) -> Iterator[LocalKafka]:
    """Start a broker with them, on free ports of loopback; `kafka` skips if none can run."""
    del kafka
    ports = dict(zip(("9092", "9093", "19092"), map(str, free_ports(3)), strict=True))
    settings = {
        name: re.sub(r":(\d+)\b", lambda port: f":{ports[port[1]]}", value).replace(
            "//:", "//127.0.0.1:"
        )
        for name, value in SETTINGS.items()
        if name != "log.dirs"
    }
    with LocalKafka(port=int(ports["9092"]), settings=settings) as broker:
        yield broker


@pytest.mark.kafka
def test_it_starts_with_them_and_accepts_our_topics(broker: LocalKafka) -> None:
    topics = Topics("frames", "predictions", "frames.dlq", "longtake.state")
    with closing(TopicAdmin(broker.connection, topics)) as admin:
        reports = admin.create(4)
    found = [(report.partitions, report.problem) for report in reports]
    assert found == [(4, None)] * 4 + [(1, None)]


def test_it_accepts_the_largest_frame_that_a_worker_accepts() -> None:
    largest = WorkerConfig.model_fields["max_frame_bytes"].default
    assert largest < int(SETTINGS["message.max.bytes"])
