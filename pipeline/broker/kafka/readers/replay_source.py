"""Reads a group's log for `longtake replay`: changelogs, frames, published predictions."""

from collections.abc import Iterator, Sequence

from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.vendor.border import missing, require_crc32c
from pipeline.clock import Clock
from pipeline.connection import GroupSettings
from pipeline.errors import ConfigError, TopicError
from pipeline.records import Record
from pipeline.wire.history import History, Stretch


class ReplaySource:
    """Reads one group's log. Raises `BrokerUnreachableError` if no broker answers."""

    def __init__(self, settings: GroupSettings, *, clock: Clock) -> None:
        require_crc32c()
        self._settings = settings
        self._topics = settings.topics
        self._partitions = self._look_up()
        connection, stall_s = settings.connection, settings.stall_s
        self._changelog = KafkaChangelog(
            connection,
            topics=settings.topics,
            group=settings.group,
            stall_s=stall_s,
            clock=clock,
        )
        self._frames = SpanReader(connection, stall_s=stall_s, clock=clock)
        self._published = SpanReader(connection, stall_s=stall_s, clock=clock)

    def _look_up(self) -> int:
        """Count the partitions. Raises if a topic is missing or the group has no changelog."""
        topics, group = self._topics, self._settings.group
        admin = TopicAdmin(self._settings.connection, topics)
        counts = admin.partition_counts()
        groups = [] if topics.state in counts else admin.groups()
        admin.close()
        if topics.state not in counts:
            raise ConfigError(
                f"there is no group {group} at {self._settings.connection.shown} (no topic"
                f" {topics.state}); there are: {', '.join(groups) or 'none'}. Name one with --group"
            )
        for topic in (topics.frames, topics.predictions):
            if topic not in counts:
                text = missing(topic, self._settings.connection)
                raise TopicError(
                    f"{text.partition(';')[0]}; the group's own are named by its workers' --config:"
                    " use the same"
                )
        return min(counts[topics.frames], counts[topics.state])

    def histories(self, partitions: Sequence[int]) -> list[History]:
        """Read the histories of these partitions, or of all if `partitions` is empty.

        Raises `ConfigError` if a partition does not exist, or the group has begun none of them.
        """
        wanted = sorted(set(partitions)) or list(range(self._partitions))
        if wanted[-1] >= self._partitions:
            raise ConfigError(
                f"there is no partition {wanted[-1]}: {self._topics.frames} has"
                f" {self._partitions}, counted from 0"
            )
        read = self._changelog.read(wanted)
        found = [History.read(number, read[number]) for number in wanted]
        begun = [history for history in found if history is not None]
        if not begun:
            raise ConfigError(
                f"group {self._settings.group} has never begun partitions {wanted}: there is"
                " nothing to replay. Start a worker first, or name another --group or --partition"
            )
        return begun

    def frames(self, history: History, stretch: Stretch) -> Iterator[Record]:
        """Read the frames of a stretch."""
        wanted = range(stretch.start, stretch.end)
        return _within(self._frames, self._topics.frames, history.partition, wanted)

    def published(self, history: History) -> tuple[Iterator[Record], bool]:
        """Read the predictions of the partition's life, and return whether its beginning exists."""
        number, topic = history.partition, self._topics.predictions
        kept = self._published.spans(topic, [number])[number]
        wanted = range(max(kept.start, history.published_from), kept.stop)
        records = _within(self._published, topic, number, wanted)
        return records, kept.start <= history.published_from

    def close(self) -> None:
        """Close the connections."""
        self._changelog.close()
        self._frames.close()
        self._published.close()


def _within(reader: SpanReader, topic: str, partition: int, wanted: range) -> Iterator[Record]:
    """Read the records of one partition, without those beyond `wanted`."""
    for records in reader.read(topic, {partition: wanted}):
        yield from (record for record in records if record.offset in wanted)
