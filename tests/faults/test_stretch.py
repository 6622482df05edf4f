"""Reading a stretch of a real topic: holes, open transactions, and retention in the midst."""

from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

from pipeline.broker.kafka.readers.stretch import KafkaStretches
from pipeline.errors import RestoreStalledError
from pipeline.local.cluster import LocalKafka
from tests.clusters import KafkaCluster

pytestmark = pytest.mark.kafka


@pytest.fixture
def cluster(kafka: LocalKafka) -> Iterator[KafkaCluster]:
    made = KafkaCluster(kafka.bootstrap, 2)
    yield made
    made.close()


@pytest.fixture
def frames(cluster: KafkaCluster) -> Iterator[KafkaStretches]:
    made = KafkaStretches(cluster.config.bootstrap, topic=cluster.topics.frames, stall_s=1.0)
    yield made
    made.close()


@pytest.fixture
def transactional(cluster: KafkaCluster) -> Iterator[KafkaProducer]:
    made = KafkaProducer(
        bootstrap_servers=cluster.config.bootstrap, transactional_id=cluster.config.group
    )
    made.init_transactions()
    yield made
    made.close(timeout=1)


def send(producer: KafkaProducer, cluster: KafkaCluster, value: bytes) -> None:
    producer.begin_transaction()
    producer.send(cluster.topics.frames, value, b"a", partition=0).get(10)


def test_a_stretch_ends_before_its_end(cluster: KafkaCluster, frames: KafkaStretches) -> None:
    for n in range(10):
        cluster.publish(1, b"a", b"%d" % n)
    assert [r.offset for r in frames.read(1, 3, 7)] == [3, 4, 5, 6]
    assert [r.value for r in frames.read(1, 8, 10)] == [b"8", b"9"]
    assert list(frames.read(0, 0, 0)) == []
    assert frames.bounds(1) == (0, 10)


def test_a_stretch_that_ends_in_what_was_aborted_has_an_end(
    cluster: KafkaCluster, frames: KafkaStretches, transactional: KafkaProducer
) -> None:
    send(transactional, cluster, b"kept")
    transactional.commit_transaction()
    send(transactional, cluster, b"aborted")
    transactional.abort_transaction()
    _, end = frames.bounds(0)
    assert [r.value for r in frames.read(0, 0, end)] == [b"kept"]


def test_a_transaction_that_stays_open_is_not_waited_for_for_ever(
    cluster: KafkaCluster, frames: KafkaStretches, transactional: KafkaProducer
) -> None:
    cluster.publish(0, b"a", b"before")
    send(transactional, cluster, b"open")
    _, end = frames.bounds(0)
    read = frames.read(0, 0, end)
    assert next(read).value == b"before"
    with pytest.raises(RestoreStalledError, match="at offset 1 of 2: a transaction is left open"):
        next(read)


def test_retention_that_overtakes_the_reader_is_named(
    cluster: KafkaCluster, frames: KafkaStretches
) -> None:
    for n in range(10):
        cluster.publish(0, b"a", b"%d" % n)
    cluster.expire(0, 6)
    assert frames.bounds(0) == (6, 10)
    with pytest.raises(RestoreStalledError, match=r"no longer holds offset 2.*retention\.ms"):
        list(frames.read(0, 2, 10))
