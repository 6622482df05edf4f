"""Over a line so slow that Kafka aborts a transaction, the cause is named, and more time helps."""

from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.clock import SystemClock
from pipeline.connection import Connection
from pipeline.errors import CommitTimedOutError
from tests.chaos.brokers import Brokers
from tests.clusters import PARTITIONS, KafkaCluster
from tests.contracts.test_broker import checkpoint, settled

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

DELAY_S = 0.6  # of each request and each answer, of which a transaction needs five
TRIES = 4


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    with Brokers(nodes=1) as running:
        yield running


def test_a_transaction_that_kafka_aborted_as_too_long_gets_more_time(
    brokers: Brokers,
) -> None:
    cluster = KafkaCluster(Connection(brokers.straight), PARTITIONS)
    hasty = cluster.config.model_copy(
        update={"bootstrap": brokers.proxied, "transaction_timeout_s": 1.0}
    )
    with (
        closing(cluster),
        closing(settled(cluster, lambda part: part).consumer) as consumer,
        closing(KafkaBroker(hasty.group_settings, clock=SystemClock()).writer()) as writer,
    ):
        member = consumer.member()
        assert member is not None
        end = brokers.proxy.slow(lambda wire: True, DELAY_S)
        with pytest.raises(CommitTimedOutError, match=r"transaction_timeout_s \(1\)"):
            writer.commit(checkpoint(value=b"slow"), member)
        for _ in range(TRIES):
            writer.renew()
            with suppress(CommitTimedOutError):
                writer.commit(checkpoint(value=b"late"), member)
                break
        end()
        writer.commit(checkpoint(value=b"soon", offset=2), member)
        values = [record.value for record in cluster.committed(cluster.topics.predictions)]
    assert values == [b"late", b"soon"]
