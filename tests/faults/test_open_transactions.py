"""Transactions that were open when the broker was killed hold no reader up once it is back."""

import time
from contextlib import closing

import pytest
from kafka import KafkaProducer

from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.broker.kafka.vendor.opening import open_producer
from pipeline.broker.kafka.vendor.sending import abandon
from pipeline.clock import SystemClock
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import until
from tests.pipeline.local.test_cluster import create_topic

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

TIMEOUT_MS = 2000


def open_transaction(kafka: LocalKafka, topic: str) -> KafkaProducer:
    producer = open_producer(
        kafka.connection, transactional_id=topic, transaction_timeout_ms=TIMEOUT_MS
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"never committed").get(10)
    return producer


def test_they_are_aborted_although_they_timed_out_before_the_broker_was_let_in_again(
    own_kafka: LocalKafka,
) -> None:
    create_topic(own_kafka, "held")
    abandon(open_transaction(own_kafka, "held"))
    own_kafka.kill(1)
    time.sleep(TIMEOUT_MS / 1000 + 1)  # the transaction times out; the broker's session does not
    own_kafka.restart(1)
    with closing(SpanReader(own_kafka.connection, stall_s=1.0, clock=SystemClock())) as reader:
        until(lambda: reader.readable_ends("held", [0]) == {0: 2}, "its record and its marker")
