"""Shared by our producers: send records, wait until the log has them, close without waiting.

K39: `close` first waits for records that are not acknowledged, and raises when the time is up,
before it ends anything: a producer that is closed because it failed goes on in its threads. When
the broker is back it sends the rest, in a transaction that nobody ends.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.sender import Sender

from pipeline.records import Destination, Outgoing

FLUSH_S = 5.0
ENDING_S = 10.0  # of a sender that sends nothing more

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


def abandon(producer: KafkaProducer) -> threading.Thread:
    """Close a producer without waiting: a failed one may hang. It sends nothing more (K39).

    Returns the thread that closes it, for a caller that wants to wait.
    """
    sender: Sender = vars(producer)["_sender"]  # K39
    sender.force_close()

    def close() -> None:
        sender.join(ENDING_S)
        with suppress(KafkaError):
            producer.close(timeout=0)

    closing = threading.Thread(target=close, daemon=True, name="abandoned-producer")
    closing.start()
    return closing
