"""The readers of a real topic: gaps, open transactions, retention, foreign records."""

from collections.abc import Iterator
from itertools import chain

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.clock import SystemClock
from pipeline.errors import RestoreStalledError
from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from tests.clusters import KafkaCluster, NoText

pytestmark = pytest.mark.kafka

NO_TIME_MS = -1  # as a producer without a clock sends it
WAIT_S = 0.2


@pytest.fixture
def cluster(kafka: LocalKafka) -> Iterator[KafkaCluster]:
    made = KafkaCluster(kafka.connection, 2)
    yield made
    made.close()


@pytest.fixture
def reader(cluster: KafkaCluster) -> Iterator[SpanReader]:
    made = SpanReader(cluster.config.connection, stall_s=1.0, clock=SystemClock())
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


def read(reader: SpanReader, cluster: KafkaCluster, number: int, span: range) -> list[Record]:
    return list(chain.from_iterable(reader.read(cluster.topics.frames, {number: span})))


def test_a_span_is_read_to_its_end(cluster: KafkaCluster, reader: SpanReader) -> None:
    for n in range(10):
        cluster.publish(1, b"a", b"%d" % n)
    offsets = [record.offset for record in read(reader, cluster, 1, range(3, 7))]
    assert offsets[:4] == [3, 4, 5, 6]  # records behind it may be returned too
    assert [r.value for r in read(reader, cluster, 1, range(8, 10))] == [b"8", b"9"]
    assert read(reader, cluster, 0, range(0)) == []
    assert reader.spans(cluster.topics.frames, [0, 1]) == {0: range(0), 1: range(10)}


def test_spans_of_several_partitions_are_read_at_once(
    cluster: KafkaCluster, reader: SpanReader
) -> None:
    for n in range(10):
        cluster.publish(n % 2, b"a", b"%d" % n)
    spans = reader.spans(cluster.topics.frames, reader.partitions(cluster.topics.frames))
    found = list(chain.from_iterable(reader.read(cluster.topics.frames, spans)))
    values = [[r.value for r in found if r.partition == number] for number in (0, 1)]
    assert values == [[b"%d" % n for n in range(first, 10, 2)] for first in (0, 1)]


def test_a_span_that_ends_in_what_was_aborted_has_an_end(
    cluster: KafkaCluster, reader: SpanReader, transactional: KafkaProducer
) -> None:
    send(transactional, cluster, b"kept")
    transactional.commit_transaction()
    send(transactional, cluster, b"aborted")
    transactional.abort_transaction()
    span = reader.spans(cluster.topics.frames, [0])[0]
    assert [r.value for r in read(reader, cluster, 0, span)] == [b"kept"]


def test_a_transaction_is_not_cut_where_its_end_was_looked_up(
    cluster: KafkaCluster, reader: SpanReader, transactional: KafkaProducer
) -> None:
    """With snapshots of a commit but not its manifest, memory would be ahead of its offset."""
    send(transactional, cluster, b"snapshot")
    span = reader.spans(cluster.topics.frames, [0])[0]
    transactional.send(cluster.topics.frames, b"manifest", b"m", partition=0)
    transactional.commit_transaction()
    assert [r.value for r in read(reader, cluster, 0, span)] == [b"snapshot", b"manifest"]


def test_a_transaction_that_stays_open_is_not_waited_for_for_ever(
    cluster: KafkaCluster, reader: SpanReader, transactional: KafkaProducer
) -> None:
    cluster.publish(0, b"a", b"before")
    send(transactional, cluster, b"open")
    spans = reader.spans(cluster.topics.frames, [0])
    batches = reader.read(cluster.topics.frames, spans)
    assert [record.value for record in next(batches)] == [b"before"]
    with pytest.raises(RestoreStalledError, match="at offset 1 of 2: a transaction is left open"):
        next(batches)


def test_retention_that_overtakes_the_reader_is_named(
    cluster: KafkaCluster, reader: SpanReader
) -> None:
    for n in range(10):
        cluster.publish(0, b"a", b"%d" % n)
    cluster.expire(0, 6)
    assert reader.spans(cluster.topics.frames, [0]) == {0: range(6, 10)}
    with pytest.raises(RestoreStalledError, match=r"no longer holds offset 2.*retention\.ms"):
        read(reader, cluster, 0, range(2, 10))


def write_foreign(cluster: KafkaCluster, topic: str) -> None:
    """Write a record unlike ours: without a time, and with a header name that is not text."""
    headers = ((NoText("name"), b"1"),)
    cluster.write(topic, 0, b"s:a", b"foreign", headers, timestamp_ms=NO_TIME_MS)


def as_written(record: Record) -> bool:
    """Return whether a record is the one of `write_foreign`, as far as our values can show it."""
    given = (record.value, record.headers)
    return given == (b"foreign", (("\ufffd\ufffd", b"1"),))


@pytest.fixture
def undated(cluster: KafkaCluster) -> str:
    """A topic that keeps the producers' times, as those of other programs do."""
    name = f"{cluster.topics.frames}.undated"
    kept = {"message.timestamp.type": "CreateTime"}
    admin = KafkaAdminClient(bootstrap_servers=cluster.config.bootstrap)
    admin.create_topics([NewTopic(name, 1, -1, topic_configs=kept)])
    admin.close()
    return name


def test_a_span_reader_reads_what_others_may_write(
    cluster: KafkaCluster, reader: SpanReader, undated: str
) -> None:
    write_foreign(cluster, undated)
    (record,) = chain.from_iterable(reader.read(undated, reader.spans(undated, [0])))
    assert (as_written(record), record.timestamp_ms) == (True, 0)


def test_a_changelog_reads_what_others_may_write(cluster: KafkaCluster) -> None:
    write_foreign(cluster, cluster.topics.state)
    changelog = cluster.broker("one").changelog()
    found = changelog.read([0])
    changelog.close()
    assert as_written(found[0].records[b"s:a"])


def first(tail: TopicTail) -> list[Record]:
    """Return the result of the first poll with records."""
    return next(filter(None, (list(tail.read(WAIT_S)) for _ in range(50))))


def test_a_tail_reads_what_others_may_write(cluster: KafkaCluster, undated: str) -> None:
    write_foreign(cluster, undated)
    tail = TopicTail(cluster.config.connection, topic=undated, from_start=True)
    assert [(as_written(one), one.timestamp_ms) for one in first(tail)] == [(True, 0)]
    tail.close()
