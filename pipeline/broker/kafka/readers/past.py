"""A group's past, read without joining it: changelogs, frames, published predictions."""

from collections.abc import Iterator, Sequence

from pipeline.broker.kafka.broker import STALL_S
from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.readers.stretch import KafkaStretches
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.vendor.border import require_crc32c
from pipeline.config import WorkerConfig
from pipeline.errors import ConfigError, TopicError
from pipeline.records import Record
from pipeline.wire.history import History, Stretch


class KafkaPast:
    """What the log holds of one group. Raises `BrokerUnreachableError` when nobody answers."""

    def __init__(self, config: WorkerConfig) -> None:
        require_crc32c()
        self._config = config
        self._partitions = self._look_up()
        stall_s = config.transaction_timeout_s + STALL_S
        self._changelog = KafkaChangelog(config.bootstrap, topics=config.topics, stall_s=stall_s)
        self._frames, self._published = (
            KafkaStretches(config.bootstrap, topic=topic, stall_s=stall_s)
            for topic in (config.topics.frames, config.topics.predictions)
        )

    def _look_up(self) -> int:
        """Count the frames topic's partitions; the topics must be there, and the group known."""
        topics = self._config.topics
        admin = TopicAdmin(self._config.bootstrap, topics)
        counts = admin.partition_counts()
        groups = [] if topics.state in counts else admin.groups()
        admin.close()
        if topics.state not in counts:
            raise ConfigError(
                f"there is no group {self._config.group} at {self._config.bootstrap} (no topic"
                f" {topics.state}); there are: {', '.join(groups) or 'none'}. Name one with --group"
            )
        for topic in (topics.frames, topics.predictions):
            if topic not in counts:
                raise TopicError(
                    f"topic {topic} is missing; the group's own are named by its workers'"
                    " --config: use the same"
                )
        return min(counts[topics.frames], counts[topics.state])

    def histories(self, partitions: Sequence[int]) -> list[History]:
        """What the changelog tells of these partitions, none named: of all.

        Raises `ConfigError` when a partition is not there, or the group has begun none of them.
        """
        wanted = sorted(set(partitions)) or list(range(self._partitions))
        if wanted[-1] >= self._partitions:
            raise ConfigError(
                f"there is no partition {wanted[-1]}: {self._config.frames_topic} has"
                f" {self._partitions}, counted from 0"
            )
        read = self._changelog.read(wanted)
        found = [History.read(number, read[number]) for number in wanted]
        begun = [history for history in found if history is not None]
        if not begun:
            raise ConfigError(
                f"group {self._config.group} has never begun partitions {wanted}: there is nothing"
                " to replay. Start a worker first, or name another --group or --partition"
            )
        return begun

    def frames(self, history: History, stretch: Stretch) -> Iterator[Record]:
        """The frames of a stretch."""
        return self._frames.read(history.partition, stretch.start, stretch.end)

    def published(self, history: History) -> tuple[Iterator[Record], bool]:
        """What was published in the partition's life, and whether its beginning is still there."""
        start, end = self._published.bounds(history.partition)
        begin = max(start, history.published_from)
        records = self._published.read(history.partition, begin, end)
        return records, start <= history.published_from

    def close(self) -> None:
        """Close the connections."""
        self._changelog.close()
        self._frames.close()
        self._published.close()
