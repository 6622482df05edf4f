"""Publishes predictions at once, outside of any transaction: an idempotent producer."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer

from pipeline.broker.kafka.vendor.border import translated
from pipeline.broker.kafka.vendor.connecting.refusal_patience import RefusalPatience
from pipeline.broker.kafka.vendor.opening import open_producer
from pipeline.broker.kafka.vendor.sending import abandon, arrive, send
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.errors import LongtakeError
from pipeline.records import Outgoing, Topics

# If a batch expired, the next one would overtake it. With this limit none expires: the producer
# retries, and the sequence numbers of an idempotent producer keep the order.
NEVER_MS = 7 * 86_400_000


class KafkaOutlet:
    """See `Outlet`."""

    def __init__(self, connection: Connection, *, topics: Topics, clock: Clock) -> None:
        self._connection = connection
        self._topics = topics
        self._patience = RefusalPatience(clock)
        self._producer: KafkaProducer | None = None
        self._writes: list[Any] = []  # of the burst that has not arrived

    def publish(self, burst: Sequence[Outgoing]) -> None:
        """See `Outlet`. A burst that the producer still retries is awaited and not sent again."""
        try:
            with (
                self._patience.retried(),
                translated("publishing predictions", self._connection, needs="WRITE"),
            ):
                producer = self._producer = self._producer or self._open()
                self._writes = self._writes or send(producer, self._topics, burst)
                arrive(producer, self._writes)
                self._writes = []
        except LongtakeError:
            if any(write.failed() for write in self._writes):
                self.close()
            raise

    def _open(self) -> KafkaProducer:
        return open_producer(
            self._connection,
            enable_idempotence=True,
            delivery_timeout_ms=NEVER_MS,
            linger_ms=0,
            retry_backoff_ms=10,
        )

    def close(self) -> None:
        """See `Outlet`."""
        producer, self._producer, self._writes = self._producer, None, []
        if producer is not None:
            abandon(producer)
