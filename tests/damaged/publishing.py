"""Writes a corpus into the frames topic of a cluster, without waiting for each record."""

from collections.abc import Iterable
from contextlib import closing

from pipeline.broker.kafka.vendor.opening import open_producer
from pipeline.local.cluster import LocalKafka
from tests.clusters import KafkaCluster, MemoryCluster
from tests.damaged.corpus import Sent


def cluster_on(kafka: LocalKafka | None, partitions: int) -> KafkaCluster | MemoryCluster:
    """Make a cluster on a real broker, or in memory if `kafka` is None."""
    return (
        MemoryCluster(partitions) if kafka is None else KafkaCluster(kafka.connection, partitions)
    )


def publish_all(cluster: KafkaCluster | MemoryCluster, corpus: Iterable[Sent]) -> None:
    if isinstance(cluster, MemoryCluster):
        for sent in corpus:
            cluster.publish(sent.partition, sent.key, sent.value, sent.headers)
        return
    with closing(open_producer(cluster.config.connection, linger_ms=5)) as producer:
        sending = [
            producer.send(
                cluster.topics.frames,
                key=sent.key,
                value=sent.value,
                headers=list(sent.headers),
                partition=sent.partition,
            )
            for sent in corpus
        ]
        for future in sending:
            future.get(30)
