"""Leaders move between brokers, as after every rolling restart, and no client hangs."""

import random
import time
from collections.abc import Iterator, Mapping

import pytest

from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.clock import SystemClock
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, LocalKafkaError
from pipeline.records import Changelog
from tests.chaos.brokers import Brokers
from tests.chaos.run import TOPICS

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

PARTITIONS = 4
PATIENCE_S = 60.0  # the client refreshes metadata by itself only after 300 s


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    try:
        with Brokers() as made:
            admin = TopicAdmin(Connection(made.straight), TOPICS)
            admin.create(PARTITIONS)
            admin.close()
            yield made
    except LocalKafkaError as exc:
        pytest.skip(f"no local Kafka: {exc}")


def read(reader: KafkaChangelog, patience_s: float) -> Mapping[int, Changelog]:
    """Read like the restorer: retry while the broker is unavailable."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return reader.read(range(PARTITIONS))
        except BrokerUnavailableError:
            if time.monotonic() > deadline_s:
                raise


def test_memory_is_read_back_although_its_leaders_have_moved(brokers: Brokers) -> None:
    reader = KafkaChangelog(
        Connection(brokers.straight), topics=TOPICS, group="g", stall_s=20.0, clock=SystemClock()
    )
    read(reader, PATIENCE_S)
    moved = brokers.move_leaders([TOPICS.frames, TOPICS.state], PARTITIONS, random.Random(1))  # noqa: S311
    assert {f"{TOPICS.state}-{number}" for number in range(PARTITIONS)} <= set(moved)
    assert set(read(reader, PATIENCE_S)) == set(range(PARTITIONS))
    reader.close()


def test_the_ends_of_a_topic_are_found_although_its_leaders_have_moved(brokers: Brokers) -> None:
    reader = SpanReader(Connection(brokers.straight), stall_s=20.0, clock=SystemClock())
    known = reader.spans(TOPICS.frames, range(PARTITIONS))
    brokers.move_leaders([TOPICS.frames], PARTITIONS, random.Random(1))  # noqa: S311
    assert reader.spans(TOPICS.frames, range(PARTITIONS)) == known
    reader.close()
