"""One worker's access to a real Kafka."""

import logging
import uuid
from dataclasses import replace

from pipeline.broker.kafka.claims.topic_owners import KafkaOwners
from pipeline.broker.kafka.consumer import KafkaFrames
from pipeline.broker.kafka.outlet import KafkaOutlet
from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.vendor.border import require_crc32c
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.clock import Clock
from pipeline.connection import GroupSettings, transactional_id
from pipeline.records import Topics

log = logging.getLogger(__name__)


class KafkaBroker:
    """See `Broker`. `slot` names the transactional producer and, if configured, a static member."""

    def __init__(self, settings: GroupSettings, *, clock: Clock) -> None:
        require_crc32c()
        self._settings = settings
        self._clock = clock
        self.slot = settings.slot or uuid.uuid4().hex[:12]

    @property
    def topics(self) -> Topics:
        """See `Broker`."""
        return self._settings.topics

    def partition_count(self) -> int:
        """See `Broker`."""
        own = replace(self.topics, cameras="")  # workers have nothing to do with cameras' states
        admin = TopicAdmin(self._settings.connection, own)
        try:
            count = admin.require()
            for topic in admin.check():
                if topic.danger is not None:
                    log.warning(
                        "topic %s: %s; `longtake topics check --group %s` shows how to mend it",
                        topic.name,
                        topic.danger,
                        self._settings.group,
                    )
        finally:
            admin.close()
        return count

    def consumer(self) -> KafkaFrames:
        """See `Broker`."""
        return KafkaFrames(
            self._settings.connection,
            topic=self.topics.frames,
            group=self._settings.group,
            instance=self._settings.slot,
            session_timeout_s=self._settings.session_timeout_s,
            heartbeat_s=self._settings.heartbeat_s,
            leaves=self._settings.leaves_at_stop,
            gather_s=self._settings.gather_s,
            clock=self._clock,
        )

    def writer(self) -> KafkaWriter:
        """See `Broker`."""
        return KafkaWriter(
            self._settings.connection,
            topics=self.topics,
            name=transactional_id(self._settings.group, self.slot),
            transaction_timeout_s=self._settings.transaction_timeout_s,
            longest_transaction_s=self._settings.longest_transaction_s,
            clock=self._clock,
        )

    def outlet(self) -> KafkaOutlet:
        """See `Broker`."""
        return KafkaOutlet(
            self._settings.connection,
            topic_of=self.topics.of,
            what="predictions",
            clock=self._clock,
        )

    def changelog(self) -> KafkaChangelog:
        """See `Broker`."""
        return KafkaChangelog(
            self._settings.connection,
            topics=self.topics,
            group=self._settings.group,
            stall_s=self._settings.stall_s,
            clock=self._clock,
        )

    def owners(self) -> KafkaOwners:
        """See `Broker`."""
        return KafkaOwners(self._settings.connection, topics=self.topics)
