"""What a user tries on a Kafka, and what the broker says that it may do."""

from collections.abc import Iterable, Sequence
from contextlib import closing

from kafka import TopicPartition
from kafka.errors import (
    AuthorizationError,
    GroupAuthorizationFailedError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from kafka.structs import OffsetAndMetadata

from pipeline.broker.kafka.vendor.opening import open_admin, open_consumer, open_producer
from pipeline.connection import Connection

REFUSED = (AuthorizationError, TopicAuthorizationFailedError, GroupAuthorizationFailedError)
HIDDEN_MS = 300  # how long a producer looks for a topic that it may not see


def on_topics(connection: Connection, topics: Sequence[str]) -> dict[str, set[str]]:
    """The operations that the broker allows on each topic, by its own authorizer."""
    with closing(open_admin(connection)) as admin:
        described = admin.describe_topics(list(topics))
    return {one["name"]: set(one["authorized_operations"] or ()) for one in described}


def on_group(connection: Connection, group: str) -> set[str]:
    with closing(open_admin(connection)) as admin:
        try:
            described = admin.describe_groups([group])[group]
        except REFUSED:
            return set()
    return set(described["authorized_operations"] or ())


def on_cluster(connection: Connection) -> set[str]:
    with closing(open_admin(connection)) as admin:
        return set(admin.describe_cluster()["authorized_operations"] or ())


def writes(connection: Connection, topics: Iterable[str]) -> set[str]:
    """The topics that take a record."""
    taken = set()
    alone = {"enable_idempotence": False, "max_block_ms": HIDDEN_MS}  # a refusal ends no other
    with closing(open_producer(connection, **alone)) as producer:
        for topic in topics:
            try:
                producer.send(topic, key=b"tried", value=b"tried", partition=0).get(5)
                taken.add(topic)
            except (*REFUSED, KafkaTimeoutError):
                continue
    return taken


def reads(connection: Connection, topics: Iterable[str]) -> set[str]:
    """The topics that give a record; each of them has one."""
    given = set()
    for topic in topics:
        with closing(open_consumer(connection)) as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            try:
                if consumer.poll(1000):
                    given.add(topic)
            except REFUSED:
                continue
    return given


def make_group(connection: Connection, group: str, topic: str) -> None:
    """Commit an offset: the broker describes no group that it does not know."""
    with closing(open_consumer(connection, group_id=group)) as consumer:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.commit({place: OffsetAndMetadata(0, "", -1)})


def begins(connection: Connection, name: str) -> bool:
    """Whether it may use a transactional id."""
    settings = {"transactional_id": name, "max_block_ms": 5000}
    with closing(open_producer(connection, **settings)) as producer:
        try:
            producer.init_transactions()
        except REFUSED:
            return False
    return True
