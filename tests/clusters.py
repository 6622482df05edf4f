"""A log for contract tests: the same few words for the one in memory and for a real Kafka."""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions

from pipeline.broker.contract import Broker
from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.memory.memory_broker import MemoryBroker
from pipeline.clock import SystemClock
from pipeline.config import Start, WorkerConfig
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, PartitionCountError
from pipeline.records import Destination, Headers, Outgoing, Record, Topics
from tests.memory_faults import MovableLog

PARTITIONS = 4  # of the logs of contract suites
_names = itertools.count()


class NoText(str):
    """A name that a producer of another language would send: two bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return b"\xff\xfe"


class Cluster(Protocol):
    """One group's topics on some log."""

    topics: Topics

    def broker(self, slot: str) -> Broker: ...

    def publish(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None: ...

    def committed(self, topic: str) -> Sequence[Record]: ...

    def write_slowly(self, key: bytes, value: bytes) -> Callable[[], None]:
        """Write to partition 0 of the changelog in a transaction; call it to commit."""

    def expire(self, partition: int, offset: int) -> None:
        """Let retention delete the frames below `offset`."""

    def grow(self, topic: str, partitions: int) -> None: ...

    def make_anew(self, topic: str) -> None:
        """Delete a topic, and make one of the same name."""


class MemoryCluster:
    """See `Cluster`."""

    def __init__(self, partitions: int) -> None:
        self.topics = Topics("frames", "predictions", "frames.dlq", "group.state")
        self.log = MovableLog(self.topics, partitions=partitions, clock=SystemClock())

    def broker(self, slot: str) -> Broker:
        return MemoryBroker(self.log, slot=slot)

    def publish(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        self.log.publish(partition, key, value, headers)

    def committed(self, topic: str) -> Sequence[Record]:
        return self.log.read_committed(topic)

    def write_slowly(self, key: bytes, value: bytes) -> Callable[[], None]:
        epoch = self.log.init_producer("slow")
        self.log.begin("slow", epoch)
        self.log.write("slow", epoch, Outgoing(Destination.STATE, 0, key, value))
        return lambda: self.log.finish("slow", epoch, commit=True)

    def expire(self, partition: int, offset: int) -> None:
        self.log.expire(partition, offset)

    def grow(self, topic: str, partitions: int) -> None:
        self.log.grow(topic, partitions)

    def make_anew(self, topic: str) -> None:
        self.log.make_anew(topic)


class KafkaCluster:
    """See `Cluster`. Topics of its own for every instance."""

    def __init__(self, connection: Connection, partitions: int) -> None:
        unique = f"t{os.getpid()}-{next(_names)}"
        self.config = WorkerConfig(
            bootstrap=connection.bootstrap,
            group=unique,
            frames_topic=f"{unique}.frames",
            predictions_topic=f"{unique}.predictions",
            dead_letters_topic=f"{unique}.dlq",
            cameras_topic=f"{unique}.cameras",
            start=Start.EARLIEST,
            metrics_port=0,
        )
        self.topics = self.config.topics
        self.partitions = partitions
        self._create()
        self._producer = KafkaProducer(bootstrap_servers=connection.bootstrap, linger_ms=0)

    def _create(self) -> None:
        """Make the topics that are missing."""
        admin = TopicAdmin(self.config.connection, self.topics)
        admin.create(self.partitions)
        admin.close()

    def broker(self, slot: str) -> Broker:
        broker = KafkaBroker(self.config.group_settings, clock=SystemClock())
        broker.slot = slot  # a dynamic member with a name that the test knows
        return broker

    def publish(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        self.write(self.topics.frames, partition, key, value, headers)

    def write(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp_ms: int | None = None,
    ) -> None:
        """Write any record to any topic, as a forger would."""
        self._producer.send(
            topic,
            key=key,
            value=value,
            headers=list(headers),
            partition=partition,
            timestamp_ms=timestamp_ms,
        ).get(10)

    def committed(self, topic: str) -> Sequence[Record]:
        reader = TopicTail(self.config.connection, topic=topic, from_start=True)
        records: list[Record] = []
        quiet = 0
        while quiet < 3:
            batch = reader.read(0.15)
            records += batch
            quiet = 0 if batch else quiet + 1
        reader.close()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def write_slowly(self, key: bytes, value: bytes) -> Callable[[], None]:
        producer = KafkaProducer(
            bootstrap_servers=self.config.bootstrap,
            transactional_id=f"{self.config.group}.slow",
            transaction_timeout_ms=60_000,
        )
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(self.topics.state, key=key, value=value, partition=0).get(10)

        def commit() -> None:
            producer.commit_transaction()
            producer.close(timeout=2)

        return commit

    def expire(self, partition: int, offset: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.config.bootstrap)
        admin.delete_records({TopicPartition(self.topics.frames, partition): offset})
        admin.close()

    def grow(self, topic: str, partitions: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.config.bootstrap)
        admin.create_partitions({topic: NewPartitions(partitions)})
        deadline_s = (
            time.monotonic() + 10
        )  # the broker learns it from the controller a little later
        while len(admin.describe_topics([topic])[0]["partitions"]) < partitions:
            assert time.monotonic() < deadline_s
        admin.close()

    def delete(self, topic: str) -> None:
        """Delete a topic, as an administrator by mistake."""
        admin = KafkaAdminClient(bootstrap_servers=self.config.bootstrap)
        admin.delete_topics([topic])
        admin.close()

    def forget_group(self) -> bool:
        """Delete the group's committed offsets. Returns False while it has members."""
        admin = KafkaAdminClient(bootstrap_servers=self.config.bootstrap)
        deleted = admin.delete_groups([self.config.group])
        admin.close()
        return bool(deleted[self.config.group] == "OK")

    def make_anew(self, topic: str) -> None:
        """See `Cluster`. Kafka deletes in the background, and refuses the name until it is free."""
        self.delete(topic)
        deadline_s = time.monotonic() + 20
        while True:
            try:
                self._create()
                return
            except (PartitionCountError, BrokerUnavailableError):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)

    def close(self) -> None:
        self._producer.close(timeout=2)
