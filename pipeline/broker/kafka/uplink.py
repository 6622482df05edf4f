"""Publishes the shots of cameras: an idempotent producer that retries without a time limit.

K18: after a record that is too large for the broker, the client fails the records behind it for the
same reason, although they are small enough. So this producer never sends one: it reads the topic's
limit, and its batches are no larger either. If the limit is lowered meanwhile, all shots are sent
again by a new uplink, which reads the new limit.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from pipeline.broker.kafka.vendor.authorized import lacks_write
from pipeline.broker.kafka.vendor.border import REQUEST_BYTES, at_start, missing, translated
from pipeline.broker.kafka.vendor.connecting.watching import trouble_of
from pipeline.broker.kafka.vendor.opening import open_admin, open_producer
from pipeline.broker.kafka.vendor.sending import abandon
from pipeline.broker.shots import SettledShot, Shot, ShotKind, ShotOutcome
from pipeline.connection import Connection
from pipeline.errors import (
    LongtakeError,
    NotPermittedError,
    TopicError,
)

NEVER_MS = 7 * 86_400_000  # as in `outlet`: a batch that expired would let the next overtake it
CONNECT_MS = 5000
TOPIC_MS = 3000
BATCH_BYTES = 1 << 20
AROUND_BYTES = 1024  # at most, of a record and its batch in addition to the picture
LINGER_MS = 5  # so that shots of several cameras go in one request


class KafkaUplink:
    """See `Uplink`. The key decides the partition, by murmur2 as in Java.

    Raises `BrokerUnreachableError` if no broker answers, `TopicError` if the topic is missing,
    `NotPermittedError` if our user may not see it or write to it.
    """

    def __init__(self, connection: Connection, *, topic: str) -> None:
        self._connection, self._topic = connection, topic
        self._settled: deque[SettledShot] = deque()
        with at_start():
            self._most_bytes = _limit(connection, topic)
            self._producer = self._open(connection)
        try:
            self._require_topic()
        except BaseException:
            abandon(self._producer)
            raise

    def _require_topic(self) -> None:
        doing = f"looking topic {self._topic} up"
        with translated(doing, self._connection, needs="DESCRIBE"):
            try:
                self._producer.partitions_for(self._topic)
            except KafkaTimeoutError as exc:
                raise TopicError(missing(self._topic, self._connection)) from exc

    def _open(self, connection: Connection) -> KafkaProducer:
        return open_producer(
            connection,
            bootstrap_timeout_ms=CONNECT_MS,
            allow_auto_create_topics=False,  # such a topic would lack our settings
            batch_size=min(BATCH_BYTES, self._most_bytes),
            enable_idempotence=True,
            delivery_timeout_ms=NEVER_MS,
            linger_ms=LINGER_MS,
            max_block_ms=TOPIC_MS,
            retry_backoff_ms=50,
        )

    def send(self, number: int, shot: Shot) -> None:
        """See `Uplink`."""
        if len(shot.content) + AROUND_BYTES > self._most_bytes:
            lower = "--quality or --size"
            if shot.kind is not ShotKind.PICTURE:
                lower = "the camera's bit rate"
            why = (
                f"a frame of {len(shot.content):,} bytes is larger than topic {self._topic} takes"
                f" (max.message.bytes = {self._most_bytes:,}); lower {lower}, or raise"
                " that setting (and the broker's message.max.bytes)"
            )
            self._settled.append(SettledShot(number, ShotOutcome.OVERSIZED, why))
            return
        try:
            sending = self._producer.send(
                self._topic,
                key=shot.stream.encode(),
                value=shot.content,
                headers=list(shot.headers),
            )
        except KafkaError as exc:
            self._fail(number, exc)
            return
        sending.add_callback(partial(self._take, number))
        sending.add_errback(partial(self._fail, number))

    def _take(self, number: int, place: object) -> None:
        del place
        self._settled.append(SettledShot(number, ShotOutcome.TAKEN))

    def _fail(self, number: int, exc: BaseException) -> None:
        try:
            with translated("publishing frames", self._connection, needs="WRITE"):
                raise exc
        except LongtakeError as ours:
            self._settled.append(SettledShot(number, ShotOutcome.FAILED, str(ours)))

    def settled(self) -> Sequence[SettledShot]:
        """See `Uplink`."""
        return [self._settled.popleft() for _ in range(len(self._settled))]

    @property
    def trouble(self) -> str:
        """See `Uplink`."""
        found = trouble_of(self._producer)
        return "" if found is None else found.text

    def close(self) -> None:
        """See `Uplink`."""
        abandon(self._producer)


def _limit(connection: Connection, topic: str) -> int:
    """Return how large a record of the topic may be; our own limit if the broker returns none.

    Raises `NotPermittedError` if our user may not write to the topic.
    """
    limit: str | None = None
    admin = open_admin(connection, bootstrap_timeout_ms=CONNECT_MS)
    try:
        with translated(f"looking topic {topic} up", connection, needs="WRITE"):
            (found,) = admin.describe_topics([topic])
            if lacks_write(found):
                raise TopicAuthorizationFailedError(topic)
        with suppress(NotPermittedError):
            limit = _setting(admin, connection, topic, "max.message.bytes")
    finally:
        admin.close()
    return min(REQUEST_BYTES, int(limit)) if limit else REQUEST_BYTES


def _setting(admin: KafkaAdminClient, connection: Connection, topic: str, name: str) -> str | None:
    """Return one of a topic's settings; None if the broker does not return it."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    doing = f"reading the settings of topic {topic}"
    with translated(doing, connection, needs="DESCRIBE_CONFIGS"):
        described = admin.describe_configs([resource], config_filter="all")
    found = described.get("topic", {}).get(topic, {}).get(name)
    return None if found is None else str(found["value"])
