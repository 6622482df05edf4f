"""Publishes frames for `longtake demo`, and ends streams for `longtake reset`.

Cameras use `uplink`, which loses no frame; this producer counts the frames that it lost.
"""

from contextlib import suppress

from kafka.errors import KafkaTimeoutError

from pipeline.broker.kafka.topics import BOOTSTRAP_MS
from pipeline.broker.kafka.vendor.border import at_start, missing, translated
from pipeline.broker.kafka.vendor.opening import open_producer
from pipeline.broker.kafka.vendor.sending import abandon
from pipeline.broker.partitioner import partition_of
from pipeline.connection import Connection
from pipeline.errors import TopicError
from pipeline.records import Headers

END_S = 10.0
CLOSING_S = 2.0
TOPIC_MS = 3000  # how long the producer looks for a topic


class KafkaPublisher:
    """Publishes frames, in order per stream.

    Only the constructor raises `BrokerUnreachableError` and `TopicError`. Later, a frame that the
    broker does not take in time is lost and counted.
    """

    def __init__(self, connection: Connection, *, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._sent = self._taken = 0
        self.lost = 0  # frames that the broker did not take in time
        with at_start():
            self._producer = open_producer(
                connection,
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                allow_auto_create_topics=False,  # such a topic would lack our settings
                linger_ms=5,
                max_block_ms=TOPIC_MS,
            )
        self._require(topic)

    def _require(self, topic: str) -> None:
        with translated(f"looking topic {topic} up", self._connection, needs="DESCRIBE"):
            try:
                self._producer.partitions_for(topic)
            except KafkaTimeoutError as exc:
                self._producer.close(timeout=0)
                raise TopicError(missing(topic, self._connection)) from exc

    def publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        """Send one encoded picture; None ends the stream."""
        with translated(f"publishing a frame of {stream}", self._connection, needs="WRITE"):
            sending = self._producer.send(
                self._topic, key=stream.encode(), value=content, headers=list(headers)
            )
        self._sent += 1
        sending.add_callback(self._count_taken)
        sending.add_errback(self._count_loss)

    @property
    def in_flight(self) -> int:
        """How many frames the broker has neither taken nor refused yet."""
        return self._sent - self._taken - self.lost

    def partition_of(self, stream: str) -> int:
        """Return the partition that this producer publishes a stream's frames to."""
        with translated(f"looking topic {self._topic} up", self._connection, needs="DESCRIBE"):
            partitions = len(self._producer.partitions_for(self._topic))
        return partition_of(stream.encode(), partitions)

    def end(self, stream: str, partition: int) -> int:
        """End a stream in a partition, and wait until the log has it. Returns the offset."""
        with translated(f"ending stream {stream}", self._connection, needs="WRITE"):
            sending = self._producer.send(
                self._topic, key=stream.encode(), value=None, partition=partition
            )
            place = sending.get(timeout=END_S)
        return int(place.offset)

    def _count_taken(self, place: object) -> None:
        del place
        self._taken += 1

    def _count_loss(self, exc: BaseException) -> None:
        del exc
        self.lost += 1

    def close(self) -> None:
        """Wait a few seconds for frames in flight. Those not taken by then are lost."""
        with (
            translated("flushing frames", self._connection, needs="WRITE"),
            suppress(KafkaTimeoutError),
        ):
            self._producer.flush(timeout=5)
        abandon(self._producer).join(CLOSING_S)
        self.lost = self._sent - self._taken
