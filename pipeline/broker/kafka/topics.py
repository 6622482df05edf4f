"""Creates and checks the topics of one group."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.broker.kafka.vendor.border import translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.errors import BrokerUnreachableError, PartitionCountError, TopicError
from pipeline.records import Topics

FRAME_BYTES = 9 << 20
STATE_SUFFIX = ".state"  # as in `WorkerConfig.topics`
BOOTSTRAP_MS = 10_000  # longer than a broker's restart, short enough for a user to wait

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "frames": {
        "message.timestamp.type": "LogAppendTime",
        # The log keeps records as their producer compressed them, and `unpacking` unpacks them
        # within a limit. With any other value the broker unpacks them into its heap and checks its
        # size limit only afterwards.
        "compression.type": "producer",
        "max.message.bytes": str(FRAME_BYTES),
        "retention.ms": str(6 * 3600 * 1000),
        "segment.bytes": str(256 << 20),
    },
    "predictions": {"message.timestamp.type": "LogAppendTime"},
    # Anyone who may publish frames can cause dead letters, so their topic has an end.
    # The log's own time: a worker's clock that is wrong would let retention delete them at once.
    "dead_letters": {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(1 << 20),
        "retention.ms": str(7 * 24 * 3600 * 1000),
        "retention.bytes": str(1 << 30),
        "segment.bytes": str(64 << 20),
    },
    # small segments and eager compaction: a restore reads the live records and little more
    "state": {
        "cleanup.policy": "compact",
        # else the broker refuses all commits of a worker whose clock is an hour ahead (KAFKA-14991)
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": str(32 << 20),
        "segment.ms": "60000",
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": "60000",
        "delete.retention.ms": "3600000",
        "max.message.bytes": str(FRAME_BYTES),
    },
}


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result of checking or creating one topic. A problem stops workers, a danger does not."""

    name: str
    role: str
    partitions: int
    created: bool
    problem: str | None = None
    danger: str | None = None


def names(topics: Topics) -> dict[str, str]:
    """Return the topics' names by their role."""
    return {
        "frames": topics.frames,
        "predictions": topics.predictions,
        "dead_letters": topics.dead_letters,
        "state": topics.state,
    }


class TopicAdmin:
    """Creates and checks one group's topics. `BrokerUnreachableError` if no broker answers."""

    def __init__(self, connection: Connection, topics: Topics) -> None:
        self._topics = topics
        try:
            self._admin = open_admin(connection, bootstrap_timeout_ms=BOOTSTRAP_MS)
        except (KafkaError, ValueError, OSError) as exc:
            raise BrokerUnreachableError(
                f"no Kafka answers at {connection.shown} ({exc}). Is it running? `longtake broker`"
                " starts one on this machine; --bootstrap names another; `longtake run` needs none"
            ) from exc

    def create(self, partitions: int) -> list[TopicReport]:
        """Create the missing topics with `partitions` each, and check the existing ones."""
        reports = []
        with translated("creating topics"):
            for role, name in names(self._topics).items():
                topic = NewTopic(
                    name=name,
                    num_partitions=partitions,
                    replication_factor=-1,
                    topic_configs=dict(SETTINGS[role]),
                )
                try:
                    self._admin.create_topics([topic])
                except TopicAlreadyExistsError:
                    continue
                reports.append(TopicReport(name, role, partitions, created=True))
            self._admin.wait_for_topics([report.name for report in reports])
        made = {report.name for report in reports}
        found = [report for report in self.check() if report.name not in made]
        return reports + [_unlike(report, partitions) for report in found]

    def check(self) -> list[TopicReport]:
        """Check every topic of the group. Each report says what is wrong with its topic."""
        return [replace(report, danger=self._danger(report)) for report in self._look_up()]

    def _look_up(self) -> list[TopicReport]:
        """Return what `check` returns, without dangers: workers need not read those settings."""
        counts = self.partition_counts()
        wanted = counts.get(self._topics.frames)
        reports = []
        for role, name in names(self._topics).items():
            count = counts.get(name)
            problem = None
            if count is None:
                problem = "is missing; `longtake topics create` makes it"
            elif role != "dead_letters" and wanted is not None and count != wanted:
                problem = f"has {count} partitions, {self._topics.frames} has {wanted}"
            elif role == "state" and self._setting(name, "cleanup.policy") != "compact":
                problem = "is not compacted: set cleanup.policy=compact, or memory will be deleted"
            reports.append(TopicReport(name, role, count or 0, created=False, problem=problem))
        return reports

    def require(self) -> int:
        """Count the partitions. Raises `TopicError` or `PartitionCountError` for a problem."""
        reports = self._look_up()
        broken = [report for report in reports if report.problem is not None]
        if not broken:
            return reports[0].partitions
        text = "; ".join(f"topic {report.name} {report.problem}" for report in broken)
        missing = any(report.partitions == 0 for report in broken)
        raise (TopicError if missing else PartitionCountError)(text)

    def _danger(self, report: TopicReport) -> str | None:
        """Return why a setting of an existing topic can crash the broker; None if none can."""
        if report.role != "frames" or report.partitions == 0:
            return None
        setting = self._setting(report.name, "compression.type")
        if setting in (None, SETTINGS["frames"]["compression.type"]):
            return None
        return (
            f"compression.type={setting} makes the broker unpack what producers compress, and one"
            " small record can fill its heap: set compression.type=producer, workers unpack"
        )

    def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of each topic that exists."""
        with translated("looking topics up"):
            have = set(self._admin.list_topics())
            wanted = [name for name in names(self._topics).values() if name in have]
            found = self._admin.describe_topics(wanted) if wanted else []
        return {topic["name"]: len(topic["partitions"]) for topic in found}

    def groups(self) -> list[str]:
        """Return the names of all groups that have a changelog."""
        with translated("looking groups up"):
            found = self._admin.list_topics()
        return sorted(n.removesuffix(STATE_SUFFIX) for n in found if n.endswith(STATE_SUFFIX))

    def _setting(self, topic: str, name: str) -> str | None:
        return read_setting(self._admin, topic, name)

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


def read_setting(admin: KafkaAdminClient, topic: str, name: str) -> str | None:
    """Return one of a topic's settings; None if the broker does not return it."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    with translated(f"reading the settings of topic {topic}"):
        described = admin.describe_configs([resource])
    return _find(described, name)


def _unlike(report: TopicReport, partitions: int) -> TopicReport:
    """Add a problem if an existing topic has another number of partitions."""
    if report.problem is not None or report.partitions == partitions:
        return report
    return replace(report, problem=f"has {report.partitions} partitions and keeps them")


def _find(described: object, name: str) -> str | None:
    """Find a setting's value in the client's answer, whose nesting differs between versions."""
    if isinstance(described, dict):
        if name in described:
            value = described[name]
            return str(value["value"]) if isinstance(value, dict) else str(value)
        described = list(described.values())
    if isinstance(described, list | tuple):
        for part in described:
            found = _find(part, name)
            if found is not None:
                return found
    return None
