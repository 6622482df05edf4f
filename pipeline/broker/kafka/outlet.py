"""Publishes records outside of any transaction: predictions of `low_latency`, states of cameras."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from pipeline.broker.kafka.vendor.authorized import lacks_write
from pipeline.broker.kafka.vendor.border import at_start, missing, translated
from pipeline.broker.kafka.vendor.connecting.refusal_patience import RefusalPatience
from pipeline.broker.kafka.vendor.opening import open_admin, open_producer
from pipeline.broker.kafka.vendor.sending import TopicNames, abandon, arrive, send
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.errors import LongtakeError, TopicError
from pipeline.records import Destination, Outgoing

# If a batch expired, the next one would overtake it. With this limit none expires: the producer
# retries, and the sequence numbers of an idempotent producer keep the order.
NEVER_MS = 7 * 86_400_000
CONNECT_MS = 5000


def open_state_outlet(connection: Connection, *, topic: str, clock: Clock) -> "KafkaOutlet":
    """Return an outlet for the states of cameras.

    Raises `BrokerUnreachableError` if no broker answers, `TopicError` if the topic is missing,
    `NotPermittedError` if our user may not see it or write to it.
    """
    with at_start(), translated(f"looking topic {topic} up", connection, needs="WRITE"):
        admin = open_admin(connection, bootstrap_timeout_ms=CONNECT_MS)
        try:
            (found,) = admin.describe_topics([topic])
        finally:
            admin.close()
        if found["error_code"] == UnknownTopicOrPartitionError.errno:
            raise TopicError(missing(topic, connection))
        if found["error_code"] == TopicAuthorizationFailedError.errno or lacks_write(found):
            raise TopicAuthorizationFailedError(topic)
    return KafkaOutlet(
        connection,
        topic_of={Destination.CAMERAS: topic}.__getitem__,
        what="states of cameras",
        clock=clock,
    )


class KafkaOutlet:
    """See `Outlet`. `what` names the records in messages. The topics must exist."""

    def __init__(
        self, connection: Connection, *, topic_of: TopicNames, what: str, clock: Clock
    ) -> None:
        self._connection = connection
        self._topic_of = topic_of
        self._what = what
        self._patience = RefusalPatience(clock)
        self._producer: KafkaProducer | None = None
        self._writes: list[Any] = []  # of the burst that has not arrived

    def publish(self, burst: Sequence[Outgoing]) -> None:
        """See `Outlet`. A burst that the producer still retries is awaited and not sent again."""
        try:
            with (
                self._patience.retried(),
                translated(f"publishing {self._what}", self._connection, needs="WRITE"),
            ):
                producer = self._producer = self._producer or self._open()
                self._writes = self._writes or send(producer, self._topic_of, burst)
                arrive(producer, self._writes)
                self._writes = []
        except LongtakeError:
            if any(write.failed() for write in self._writes):
                self.close()
            raise

    def _open(self) -> KafkaProducer:
        return open_producer(
            self._connection,
            allow_auto_create_topics=False,  # such a topic would lack our settings
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
