"""The contract of claims on output topics, and of looking at what was published last."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.broker.kafka.readers.changelog_reader import FEW
from pipeline.broker.kafka.vendor.opening import open_producer
from pipeline.broker.owners import Owners, TopicOwners
from pipeline.errors import BrokerUnavailableError
from pipeline.local.cluster import LocalKafka
from pipeline.records import OUTPUTS, Destination, Outgoing
from tests.clusters import PARTITIONS, Cluster, KafkaCluster

PREDICTIONS, LETTERS = OUTPUTS
NOBODYS: Owners = dict.fromkeys(OUTPUTS)


@pytest.fixture
def opened(cluster: Cluster) -> Iterator[Callable[[], TopicOwners]]:
    """Give another worker's access to the claims."""
    made: list[TopicOwners] = []

    def another() -> TopicOwners:
        made.append(cluster.broker(f"w{len(made)}").owners())
        return made[-1]

    yield another
    for owners in made:
        owners.close()


def everything(group: str) -> Owners:
    return dict.fromkeys(OUTPUTS, group)


def test_a_claim_is_seen_by_all_and_outlives_the_worker_that_made_it(
    opened: Callable[[], TopicOwners],
) -> None:
    first = opened()
    assert first.read() == NOBODYS
    assert first.claim("actions", NOBODYS) == everything("actions")
    first.close()
    assert opened().read() == everything("actions")


def test_who_has_not_seen_the_present_owner_cannot_claim(
    opened: Callable[[], TopicOwners],
) -> None:
    opened().claim("actions", NOBODYS)
    late = opened()
    assert late.claim("quiet", NOBODYS) == everything("actions")
    assert late.claim("quiet", everything("actions")) == everything("quiet")


def test_topics_are_claimed_one_by_one(opened: Callable[[], TopicOwners]) -> None:
    owners = opened()
    owners.claim("actions", {**NOBODYS, LETTERS: "somebody else's"})
    assert owners.read() == {PREDICTIONS: "actions", LETTERS: None}


def test_a_claim_that_is_extended_stays_the_same(opened: Callable[[], TopicOwners]) -> None:
    owners = opened()
    owners.claim("actions", NOBODYS)
    assert owners.claim("actions", owners.read()) == everything("actions")


def test_of_groups_that_claim_at_the_same_time_one_wins_and_all_learn_which(
    opened: Callable[[], TopicOwners],
) -> None:
    groups = ("a", "b", "c")
    together = threading.Barrier(len(groups))

    def claim(group: str, owners: TopicOwners) -> Owners:
        seen = owners.read()
        together.wait(30)
        while True:
            try:
                return owners.claim(group, seen)
            except BrokerUnavailableError:
                continue

    with ThreadPoolExecutor(len(groups)) as threads:
        told = list(threads.map(claim, groups, [opened() for _ in groups]))
    assert told[0] in [everything(group) for group in groups]
    assert told == [told[0]] * len(groups)


def publish(cluster: Cluster, partition: int, *values: bytes) -> None:
    outlet = cluster.broker("w").outlet()
    outlet.publish([Outgoing(PREDICTIONS, partition, b"cam", value) for value in values])
    outlet.close()


def test_the_newest_record_of_each_partition_is_found_whatever_is_behind_it(
    cluster: Cluster,
) -> None:
    publish(cluster, 1, *(b"%d" % n for n in range(100)))
    publish(cluster, 3, b"one")
    commit = cluster.write_slowly(b"m", b"other topics do not count")
    reader = cluster.broker("w").changelog()
    newest = {r.partition: r.value for r in reader.newest(PREDICTIONS, [0, 1, 2, 3, 9])}
    assert newest == {1: b"99", 3: b"one"}
    last = reader.newest(PREDICTIONS, [3, 1], most=3)
    assert sorted((r.partition, r.offset, r.value) for r in last) == [
        *((1, n, b"%d" % n) for n in (97, 98, 99)),
        (3, 0, b"one"),
    ]
    assert list(reader.newest(Destination.DEAD_LETTERS, [0])) == []
    commit()
    reader.close()


@pytest.mark.kafka
def test_the_newest_record_is_found_in_front_of_many_that_were_aborted(kafka: LocalKafka) -> None:
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    publish(cluster, 0, b"first", b"newest")
    name = f"{cluster.config.group}.aborts"
    producer = open_producer(cluster.config.connection, transactional_id=name)
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(3 * FEW):
        producer.send(cluster.topics.predictions, key=b"cam", value=b"aborted", partition=0)
    producer.flush()
    producer.abort_transaction()
    producer.close(timeout=2)
    reader = cluster.broker("w").changelog()
    assert [record.value for record in reader.newest(PREDICTIONS, [0])] == [b"newest"]
    both = reader.newest(PREDICTIONS, [0], most=9)
    assert [record.value for record in both] == [b"first", b"newest"]
    reader.close()
    cluster.close()
