"""The cameras' way into the frames topic: an idempotent producer that never gives a shot up."""

from collections import deque
from collections.abc import Sequence
from functools import partial

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from pipeline.broker.kafka.client import translated
from pipeline.broker.kafka.opening import open_producer
from pipeline.broker.kafka.sending import abandon
from pipeline.broker.shots import Outcome, Settled, Shot
from pipeline.errors import BrokerUnreachableError, TopicError

NEVER_MS = 7 * 86_400_000  # as in `outlet`: a batch that expired would let the next overtake it
CONNECT_MS = 5000
TOPIC_MS = 3000
LINGER_MS = 5  # what several cameras send at once goes in one request


class KafkaUplink:
    """See `Uplink`. The key decides the partition, by murmur2 as in Java.

    Raises `BrokerUnreachableError` where nobody answers, `TopicError` where the topic is missing.
    """

    def __init__(self, bootstrap: str, *, topic: str) -> None:
        self._topic = topic
        self._settled: deque[Settled] = deque()
        try:
            self._producer = self._open(bootstrap)
        except (KafkaError, OSError, ValueError) as exc:
            raise BrokerUnreachableError(
                f"no Kafka answers at {bootstrap} ({exc}); `longtake broker` starts one here"
            ) from exc
        with translated(f"looking topic {topic} up"):
            try:
                self._producer.partitions_for(topic)
            except KafkaTimeoutError as exc:
                abandon(self._producer)
                raise TopicError(
                    f"topic {topic} is missing; `longtake topics create` makes it"
                ) from exc

    def _open(self, bootstrap: str) -> KafkaProducer:
        return open_producer(
            bootstrap,
            bootstrap_timeout_ms=CONNECT_MS,
            allow_auto_create_topics=False,  # one made in passing lacks the settings of ours
            enable_idempotence=True,
            delivery_timeout_ms=NEVER_MS,
            linger_ms=LINGER_MS,
            max_block_ms=TOPIC_MS,
            retry_backoff_ms=50,
        )

    def send(self, number: int, shot: Shot) -> None:
        """See `Uplink`."""
        try:
            sending = self._producer.send(
                self._topic,
                key=shot.stream.encode(),
                value=shot.content,
                headers=list(shot.headers),
            )
        except KafkaError as exc:
            self._fail(number, len(shot.content), exc)
            return
        sending.add_callback(partial(self._take, number))
        sending.add_errback(partial(self._fail, number, len(shot.content)))

    def _take(self, number: int, place: object) -> None:
        del place
        self._settled.append(Settled(number, Outcome.TAKEN))

    def _fail(self, number: int, size: int, exc: BaseException) -> None:
        if isinstance(exc, MessageSizeTooLargeError):
            why = (
                f"a frame of {size:,} bytes is larger than topic {self._topic} takes; lower"
                " --quality or --size, or raise the topic's max.message.bytes (and the broker's"
                " message.max.bytes)"
            )
            self._settled.append(Settled(number, Outcome.OVERSIZED, why))
        else:
            self._settled.append(Settled(number, Outcome.FAILED, repr(exc)))

    def settled(self) -> Sequence[Settled]:
        """See `Uplink`."""
        return [self._settled.popleft() for _ in range(len(self._settled))]

    def close(self) -> None:
        """See `Uplink`."""
        abandon(self._producer)
