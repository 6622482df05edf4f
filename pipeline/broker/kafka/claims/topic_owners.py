"""Claims on output topics in a Kafka: the metadata of offsets that no consumer group reads from."""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from pipeline.broker.kafka.vendor.border import ENDS_MS, translated
from pipeline.broker.kafka.vendor.opening import open_consumer, open_producer
from pipeline.broker.kafka.vendor.sending import abandon
from pipeline.broker.owners import UNREADABLE, Owners
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, CommitRefusedError, FencedError
from pipeline.records import Topics
from pipeline.wire.belongings.ownership import OWNERS, read_claim, write_claim
from pipeline.wire.json_text import UnreadableError

PLACE = 0  # the partition whose offset holds the claim of a whole topic
BEYOND = 2**62  # the committed offset, so that monitors of lag see none
WRITE_MS = 10_000


class KafkaOwners:
    """See `TopicOwners`. It connects at its first use, and keeps the connection.

    All claims are written under one transactional id. A producer that begins fences the one before
    it and sees what that one has committed, so a claim is compared and set at once.
    """

    def __init__(self, connection: Connection, *, topics: Topics) -> None:
        self._connection = connection
        self._places = {kind: TopicPartition(topics.of(kind), PLACE) for kind in topics.outputs}
        self._consumer: KafkaConsumer | None = None

    def read(self) -> Owners:
        """See `TopicOwners`."""
        with translated("looking up whose the topics are", self._connection, needs="DESCRIBE"):
            if self._consumer is None:
                self._consumer = open_consumer(
                    self._connection, group_id=OWNERS, auto_offset_reset="none"
                )
            found = {
                kind: self._consumer.committed(place, metadata=True, timeout_ms=ENDS_MS)
                for kind, place in self._places.items()
            }
        return {kind: _owner(None if one is None else one.metadata) for kind, one in found.items()}

    def claim(self, group: str, seen: Owners) -> Owners:
        """See `TopicOwners`."""
        with translated("claiming topics", self._connection):
            producer = open_producer(
                self._connection,
                transactional_id=OWNERS,
                transaction_timeout_ms=WRITE_MS,
                max_block_ms=WRITE_MS,
                linger_ms=0,
                retry_backoff_ms=10,
            )
        try:
            self._write(producer, group, seen)
        except (FencedError, CommitRefusedError) as exc:  # by another worker that claims topics
            raise BrokerUnavailableError(str(exc)) from exc
        finally:
            abandon(producer)
        return self.read()

    def _write(self, producer: KafkaProducer, group: str, seen: Owners) -> None:
        offset = OffsetAndMetadata(BEYOND, write_claim(group), -1)
        with translated("claiming topics", self._connection):
            producer.init_transactions()
            now = self.read()
            wanted = [place for kind, place in self._places.items() if now[kind] == seen[kind]]
            if not wanted:
                return
            producer.begin_transaction()
            no_member = ConsumerGroupMetadata(OWNERS, -1, "", None)
            producer.send_offsets_to_transaction(dict.fromkeys(wanted, offset), no_member)
            producer.commit_transaction()

    def close(self) -> None:
        """See `TopicOwners`."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with translated("closing", self._connection):
                consumer.close(autocommit=False, timeout_ms=1000)


def _owner(claim: str | None) -> str | None:
    try:
        return read_claim(claim or "")
    except UnreadableError:
        return UNREADABLE
