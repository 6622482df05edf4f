"""Our transactional producer: one short transaction per checkpoint."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaProducer, TopicPartition
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.kafka.vendor.border import translated
from pipeline.broker.kafka.vendor.connecting.refusal_patience import RefusalPatience
from pipeline.broker.kafka.vendor.opening import open_producer
from pipeline.broker.kafka.vendor.sending import abandon, arrive, send
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.errors import CommitTimedOutError
from pipeline.records import Topics

log = logging.getLogger(__name__)

INIT_BLOCK_MS = 10_000


class KafkaWriter:
    """See `CheckpointWriter`.

    After a transaction that took too long, `renew` allows twice the time, at most
    `longest_transaction_s`, until one is committed: a Kafka that is slow gets no slower by aborts.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        topics: Topics,
        name: str,
        transaction_timeout_s: float,
        longest_transaction_s: float,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._name = name
        self._usual_timeout_s = self._timeout_s = transaction_timeout_s
        self._longest_s = longest_transaction_s
        self._topics = topics
        self._clock = clock
        self._patience = RefusalPatience(clock)
        self._producer: KafkaProducer | None = self._opened()

    def commit(self, checkpoint: Checkpoint, member: Member) -> None:
        """See `CheckpointWriter`.

        All records are written and acknowledged before the offsets are sent. Fencing relies on
        that, and nothing is in flight while the transaction ends (K2, K3). A broker that has
        aborted our transaction and one that serves another process of our name say the same (K35).
        """
        producer, claim = self._producer, member.vendor
        if producer is None or not isinstance(claim, ConsumerGroupMetadata):
            raise AssertionError("commit before renew, or with another broker's member")
        with (
            translated(f"committing as {self._name}", self._connection, needs="WRITE"),
            self._timely(),
        ):
            producer.begin_transaction()
            outgoing = [out for part in checkpoint.parts for out in part.outgoing]
            arrive(producer, send(producer, self._topics.of, outgoing))
            producer.send_offsets_to_transaction(
                {
                    TopicPartition(self._topics.frames, number): OffsetAndMetadata(offset, "", -1)
                    for number, offset in checkpoint.offsets.items()
                },
                claim,
            )
            producer.commit_transaction()
        self._timeout_s = self._usual_timeout_s  # of the next producer

    def renew(self) -> None:
        """See `CheckpointWriter`. A producer that failed once is never used again (K1, K4, K5)."""
        self.close()
        with self._patience.retried():
            self._producer = self._opened()

    @contextmanager
    def _timely(self) -> Iterator[None]:
        """Tell a transaction that took too long from a producer that another process fenced."""
        began_s = self._clock.monotonic()
        try:
            yield
        except (ProducerFencedError, InvalidProducerEpochError) as exc:
            took_s, allowed_s = self._clock.monotonic() - began_s, self._timeout_s
            if took_s < allowed_s:
                raise
            self._timeout_s = min(2 * allowed_s, self._longest_s)
            raise CommitTimedOutError(
                f"committing as {self._name} took {took_s:.1f} s, and Kafka aborts after"
                f" {allowed_s:g} s: find out why Kafka is slow, or raise transaction_timeout_s"
                f" ({self._usual_timeout_s:g})"
            ) from exc

    def _opened(self) -> KafkaProducer:
        timeout_ms = int(self._timeout_s * 1000)
        with translated(
            f"making the transactional producer {self._name}", self._connection, needs="WRITE"
        ):
            producer = open_producer(
                self._connection,
                transactional_id=self._name,
                transaction_timeout_ms=timeout_ms,
                # above the transaction timeout, so that the broker aborts first; no `retries` (K2)
                delivery_timeout_ms=max(8000, timeout_ms + 5000),
                linger_ms=0,
                max_block_ms=INIT_BLOCK_MS,
                retry_backoff_ms=10,  # K8: the client sleeps this long at every retried request
            )
            try:
                producer.init_transactions()
            except KafkaError:
                abandon(producer)
                raise
        return producer

    def close(self) -> None:
        """See `CheckpointWriter`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            abandon(producer)
