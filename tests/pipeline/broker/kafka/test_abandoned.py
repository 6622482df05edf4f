"""That a producer which is given up sends nothing more, also when it had records left (K39)."""

import signal
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

from pipeline.broker.kafka.vendor.opening import open_consumer, open_producer
from pipeline.broker.kafka.vendor.sending import abandon, arrive
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import until
from tests.pipeline.local.test_cluster import create_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

TOPIC = "given-up"


@pytest.fixture
def frozen(own_kafka: LocalKafka) -> Iterator[LocalKafka]:
    yield own_kafka
    own_kafka.stop_node(1, signal.SIGCONT)


@pytest.mark.parametrize("name", [None, "a-worker"])
def test_what_it_had_not_sent_never_arrives(frozen: LocalKafka, name: str | None) -> None:
    create_topic(frozen, f"{TOPIC}-{name}")
    place = TopicPartition(f"{TOPIC}-{name}", 0)
    producer = open_producer(frozen.connection, transactional_id=name, linger_ms=0)
    if name is not None:
        producer.init_transactions()
        producer.begin_transaction()
    producer.send(place.topic, b"arrives", partition=0).get(10)
    frozen.stop_node(1, signal.SIGSTOP)
    given_up(producer, place)
    sender = vars(producer)["_sender"]
    until(lambda: not sender.is_alive(), "the end of its thread")
    frozen.stop_node(1, signal.SIGCONT)
    with closing(open_consumer(frozen.connection, isolation_level="read_uncommitted")) as reader:
        ends = reader.end_offsets([place])
        assert ends[place] <= 3  # a request that was on its way may have been taken, and a marker


def given_up(producer: KafkaProducer, place: TopicPartition) -> None:
    """Fail as a worker's producer does while its broker does not answer."""
    writes = [producer.send(place.topic, b"never", partition=0)]
    with pytest.raises(KafkaTimeoutError):
        arrive(producer, writes)
    writes += [producer.send(place.topic, b"never", partition=0) for _ in range(10)]
    abandon(producer)
