"""Shared by our producers: send records, wait until the log has them, close without waiting."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.records import Destination, Outgoing

FLUSH_S = 5.0


TopicNames = Callable[[Destination], str]


def send(producer: KafkaProducer, topic_of: TopicNames, outgoing: Sequence[Outgoing]) -> list[Any]:
    """Send records in order. Returns the futures of their writes."""
    return [
        producer.send(
            topic_of(out.destination),
            key=out.key,
            value=out.value,
            partition=out.partition,
            headers=list(out.headers),
        )
        for out in outgoing
    ]


def arrive(producer: KafkaProducer, writes: Sequence[Any]) -> None:
    """Wait until all writes are in the log. Raises the first error, or a timeout."""
    producer.flush(timeout=FLUSH_S)
    for write in writes:  # flush returns normally after a failure too
        if not write.succeeded():
            write.get(timeout=0)


def abandon(producer: KafkaProducer) -> None:
    """Close a producer without waiting: a failed one may hang."""

    def close() -> None:
        with suppress(KafkaError):
            producer.close(timeout=0)

    threading.Thread(target=close, daemon=True, name="abandoned-producer").start()
