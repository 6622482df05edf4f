"""One worker's way to a real Kafka."""

import uuid

from pipeline.broker.kafka.consumer import KafkaFrames
from pipeline.broker.kafka.outlet import KafkaOutlet
from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.vendor.border import require_crc32c
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.config import OnStop, WorkerConfig
from pipeline.records import Topics

STALL_S = 15.0  # beyond the transaction timeout


class KafkaBroker:
    """See `Broker`. `slot` names the member if it is to outlive the process."""

    def __init__(self, config: WorkerConfig) -> None:
        require_crc32c()
        self._config = config
        self.slot = config.slot or uuid.uuid4().hex[:12]

    @property
    def topics(self) -> Topics:
        """See `Broker`."""
        return self._config.topics

    def partition_count(self) -> int:
        """See `Broker`."""
        admin = TopicAdmin(self._config.bootstrap, self.topics)
        try:
            return admin.require()
        finally:
            admin.close()

    def consumer(self) -> KafkaFrames:
        """See `Broker`."""
        return KafkaFrames(
            self._config.bootstrap,
            topic=self.topics.frames,
            group=self._config.group,
            instance=self._config.slot,
            session_timeout_s=self._config.session_timeout_s,
            heartbeat_s=self._config.heartbeat_s,
            leaves=self._config.on_stop is OnStop.LEAVE,
        )

    def writer(self) -> KafkaWriter:
        """See `Broker`."""
        return KafkaWriter(
            self._config.bootstrap,
            topics=self.topics,
            name=f"{self._config.group}.{self.slot}",
            transaction_timeout_s=self._config.transaction_timeout_s,
        )

    def outlet(self) -> KafkaOutlet:
        """See `Broker`."""
        return KafkaOutlet(self._config.bootstrap, topics=self.topics)

    def changelog(self) -> KafkaChangelog:
        """See `Broker`."""
        return KafkaChangelog(
            self._config.bootstrap,
            topics=self.topics,
            stall_s=self._config.transaction_timeout_s + STALL_S,
        )
