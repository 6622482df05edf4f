"""The holes of kafka-python 3 that need a real broker, each with its defence.

K14 is in `test_broker.py`, because both brokers must pass it. K15 is in `tests/faults`.
"""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from kafka import KafkaConsumer, TopicPartition

from pipeline.broker.checkpoint import Checkpoint, Member, PartitionCheckpoint
from pipeline.broker.kafka.vendor.assignor import GenerationAwareCooperativeSticky
from pipeline.broker.kafka.vendor.opening import open_admin, open_consumer, open_producer
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, CommitRefusedError
from pipeline.local.cluster import LocalKafka
from pipeline.local.ports import free_ports
from pipeline.records import MAX_HEADERS
from pipeline.wire.changelog import Manifest
from tests.clusters import PARTITIONS, KafkaCluster, NoText
from tests.contracts.test_broker import Owner, settled, until
from tests.packed import CODECS, batch, bomb, pack, record, records, send

pytestmark = pytest.mark.kafka


@pytest.fixture
def cluster(kafka: LocalKafka) -> Iterator[KafkaCluster]:
    made = KafkaCluster(kafka.connection, PARTITIONS)
    yield made
    made.close()


def checkpoint(partition: int, offset: int) -> Checkpoint:
    manifest = Manifest(0, offset, 0, "one", 1, "digest", PARTITIONS, 0)
    outgoing = (manifest.write(partition),)
    part = PartitionCheckpoint(partition, 1, 0, 0, offset, outgoing, manifest, (), {})
    return Checkpoint((part,), 0.0)


def committed_offsets(cluster: KafkaCluster) -> list[int | None]:
    looking = KafkaConsumer(
        bootstrap_servers=cluster.config.bootstrap, group_id=cluster.config.group
    )
    places = [TopicPartition(cluster.topics.frames, number) for number in range(PARTITIONS)]
    found = [looking.committed(place) for place in places]
    looking.close(autocommit=False)
    return found


def test_k1_offsets_of_a_refused_commit_never_reach_the_group(cluster: KafkaCluster) -> None:
    """The client keeps them and sends them with the next transaction."""
    owner = settled(cluster, lambda part: part)
    writer = cluster.broker("one").writer()
    member = owner.member
    assert member is not None
    past = Member(member.member_id, 0, member.vendor._replace(generation_id=0))  # type: ignore[attr-defined]
    with pytest.raises(CommitRefusedError):
        writer.commit(checkpoint(0, 100), past)
    writer.renew()
    writer.commit(checkpoint(1, 7), member)
    writer.close()
    assert committed_offsets(cluster) == [None, 7, None, None]
    owner.consumer.close()


def test_k7_whoever_has_not_joined_has_no_name_to_commit_under(cluster: KafkaCluster) -> None:
    """The group accepts a commit without generation or member id from any client, unfenced."""
    consumer = cluster.broker("one").consumer()
    assert consumer.member() is None
    consumer.close()


def test_k13_a_new_generation_is_believed_once_its_assignment_is_told(
    cluster: KafkaCluster,
) -> None:
    owner = Owner(cluster.broker("one").consumer())
    told = 0
    for _ in range(200):
        polled = owner.consumer.poll(0.01, 1)
        told += len(polled.events)
        if owner.consumer.member() is not None:
            break
    assert told > 0
    owner.consumer.close()


class TwoPartitions:
    """The part of the cluster's interface that an assignor uses."""

    def topics(self) -> set[str]:
        return {"frames"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {"frames": {0, 1}}[topic]


def claim(name: str, generation: int) -> SimpleNamespace:
    owned = [SimpleNamespace(topic="frames", partitions=[0, 1])]
    metadata = SimpleNamespace(
        topics=["frames"], user_data=b"", generation_id=generation, owned_partitions=owned
    )
    return SimpleNamespace(member_id=name, metadata=metadata)


def test_k11_a_claim_of_the_past_takes_no_partition_from_who_has_it_now() -> None:
    """A returning member claims its old partitions; the client's assignor takes the last claim."""
    members = [claim("present", generation=5), claim("past", generation=3)]
    assigned = GenerationAwareCooperativeSticky().assign(TwoPartitions(), members)
    assert assigned["past"].partitions() == []
    assert len(assigned["present"].partitions()) == 1  # gets the event before the move


@pytest.mark.parametrize("opened", [open_consumer, open_producer, open_admin])
def test_k16_a_client_that_reaches_nobody_leaves_no_thread(opened: Callable[..., object]) -> None:
    before = set(threading.enumerate())
    (port,) = free_ports(1)
    with pytest.raises(BrokerUnavailableError):
        opened(Connection(f"127.0.0.1:{port}"), bootstrap_timeout_ms=300)
    assert set(threading.enumerate()) - before == set()


def test_k19_a_header_whose_name_is_no_text_holds_up_nothing(cluster: KafkaCluster) -> None:
    """The client would fetch it for ever, without leaving `poll`."""
    cluster.publish(0, b"cam-1", b"strange", ((NoText("name"), b"1"), ("seq", b"7")))
    cluster.publish(0, b"cam-1", b"behind")
    owner = settled(cluster, lambda part: part)
    until(lambda: len(owner.records) == 2, [owner])
    assert [record.value for record in owner.records] == [b"strange", b"behind"]
    assert owner.records[0].headers == (("\ufffd\ufffd", b"1"), ("seq", b"7"))
    owner.consumer.close()


def test_k20_of_very_many_headers_no_more_are_read_than_are_accepted(
    cluster: KafkaCluster,
) -> None:
    cluster.publish(0, b"cam-1", b"many", (("", b""),) * 400_000)
    cluster.publish(0, b"cam-1", b"behind", (("seq", b"8"),))
    owner = settled(cluster, lambda part: part)
    until(lambda: len(owner.records) == 2, [owner])
    assert [len(record.headers) for record in owner.records] == [MAX_HEADERS + 1, 1]
    owner.consumer.close()


def test_k21_a_bomb_goes_off_neither_in_the_broker_nor_in_the_client(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would unpack all of it, and needs a library for that."""
    send(monkeypatch, cluster.config.bootstrap, cluster.topics.frames, bomb(400 << 20))
    packed = batch(pack("zstd", records([b"behind"])), codec=CODECS["zstd"])
    send(monkeypatch, cluster.config.bootstrap, cluster.topics.frames, packed)
    owner = settled(cluster, lambda part: part)
    until(lambda: len(owner.records) == 2, [owner])
    assert "of gzip do not unpack into at most" in str(owner.records[0].refused)
    assert (owner.records[1].value, owner.records[1].refused) == (b"behind", None)
    owner.consumer.close()


def test_k22_a_record_that_claims_the_offset_of_others_hides_none_of_them(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker accepts such a batch; a client that trusts it skips the other records."""
    lying = batch(record(3, b"cam-1", b"lie"))
    send(monkeypatch, cluster.config.bootstrap, cluster.topics.frames, lying)
    cluster.publish(0, b"cam-2", b"behind")
    owner = settled(cluster, lambda part: part)
    until(lambda: len(owner.records) == 2, [owner])
    assert [(read.offset, read.value) for read in owner.records] == [(0, b""), (1, b"behind")]
    assert "claims offset 3" in str(owner.records[0].refused)
    owner.consumer.close()


def test_k17_metadata_is_asked_for_at_the_pace_that_is_set(kafka: LocalKafka) -> None:
    consumer = open_consumer(kafka.connection, retry_backoff_ms=17)
    try:
        cluster = consumer._manager.cluster  # type: ignore[attr-defined]  # noqa: SLF001 - the stubs have no private members
        assert cluster.refresh_backoff() == 17  # not the 100 ms that the client falls back to
    finally:
        consumer.close()
