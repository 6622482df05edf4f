"""Creates and checks the topics of one group."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    InvalidReplicationFactorError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from pipeline.broker.kafka.topic_rules import (
    OPTIONAL,
    UNDIVIDED,
    Presence,
    TopicFacts,
    TopicReport,
    dangers,
    new_settings,
    problem,
)
from pipeline.broker.kafka.vendor.border import at_start, missing, translated
from pipeline.broker.kafka.vendor.described import facts_of, presence_of
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.errors import (
    ConfigError,
    NotPermittedError,
    PartitionCountError,
    StopError,
    TopicError,
)
from pipeline.records import STATE_SUFFIX, Topics

BOOTSTRAP_MS = 10_000  # longer than a broker's restart, short enough for a user to wait
PARTITIONS = 4  # of new topics, if no count is given and no topic of frames exists
CAMERAS_PARTITIONS = 1  # a camera has a record of a few hundred bytes in half a minute


def names(topics: Topics) -> dict[str, str]:
    """Return the topics' names by their role; that of cameras only if it has a name."""
    every = topics.by_role | {"cameras": topics.cameras}
    return {role: name for role, name in every.items() if name}


class TopicAdmin:
    """Creates and checks one group's topics. `BrokerUnreachableError` if no broker answers."""

    def __init__(self, connection: Connection, topics: Topics) -> None:
        self._connection = connection
        self._topics = topics
        with at_start():
            self._admin = open_admin(connection, bootstrap_timeout_ms=BOOTSTRAP_MS)

    def create(
        self,
        partitions: int | None = None,
        *,
        replication_factor: int | None = None,
        retention_ms: int | None = None,
    ) -> list[TopicReport]:
        """Create the missing topics, and check all. Creates none if the existing ones do not fit.

        `partitions`: None for as many as the topic of frames has. `replication_factor`: None for
        what the broker gives new topics. `retention_ms` is that of frames. Raises `ConfigError` for
        what the cluster cannot do, and as `require` does for a topic that exists.
        """
        found = self.describe()
        count = self._partitions(found, partitions)
        absent = [one for one in found.values() if one.presence is Presence.MISSING]
        self._require(_needed(found), allow_missing=True)
        new = [
            NewTopic(
                name=topic.name,
                num_partitions=CAMERAS_PARTITIONS if topic.role == "cameras" else count,
                replication_factor=replication_factor or -1,
                topic_configs=new_settings(topic.role, replication_factor, retention_ms),
            )
            for topic in absent
        ]
        if new:
            self._make(new, only_try=True)
            self._make(new, only_try=False)
        made = {topic.name for topic in new}
        return [replace(one, created=one.name in made) for one in self.check()]

    def _partitions(self, found: Mapping[str, TopicFacts], wanted: int | None) -> int:
        """Return how many partitions new topics get. Raises if existing topics have others."""
        there = [one for one in found.values() if one.presence is Presence.PRESENT]
        of_frames = found["frames"].partitions or PARTITIONS
        count = of_frames if wanted is None else wanted
        unlike = [one for one in there if one.partitions != count and one.role not in UNDIVIDED]
        if unlike and len(there) < len(found):
            text = ", ".join(f"{one.name} has {one.partitions} partitions" for one in unlike)
            raise PartitionCountError(
                f"{text}, and new topics of {count} would not fit: nothing was created. Use"
                f" --partitions {unlike[0].partitions}, or other names of topics"
            )
        if unlike:
            one = unlike[0]
            raise PartitionCountError(
                f"topic {one.name} has {one.partitions} partitions and keeps them: all topics of"
                f" --group {self._group} exist"
            )
        return count

    def _make(self, new: Sequence[NewTopic], *, only_try: bool) -> None:
        with translated("creating topics", self._connection, needs="CREATE"):
            try:
                self._admin.create_topics(
                    list(new), validate_only=only_try, wait_for_metadata=not only_try
                )
            except TopicAlreadyExistsError:
                return  # another command was faster
            except InvalidReplicationFactorError as exc:
                raise ConfigError(
                    f"--replication-factor {new[0].replication_factor}: the cluster has"
                    f" {self._brokers} brokers; nothing was created"
                ) from exc
            except PolicyViolationError as exc:
                raise ConfigError(f"the cluster's policy refuses these topics: {exc}") from exc
            except TopicAuthorizationFailedError as exc:
                lacking = ", ".join(topic.name for topic in new)
                raise TopicAuthorizationFailedError(lacking) from exc

    def check(self) -> list[TopicReport]:
        """Check every topic of the group. Each report says what is wrong with its topic."""
        found, brokers = self.describe(), self._brokers
        return [self._report(topic, found, brokers) for topic in found.values()]

    def _report(
        self, topic: TopicFacts, found: Mapping[str, TopicFacts], brokers: int
    ) -> TopicReport:
        remarks = dangers(topic, found, brokers)
        unread = topic.presence is Presence.PRESENT and topic.settings is None
        return TopicReport(
            topic.name,
            topic.role,
            topic.partitions,
            created=False,
            replicas=topic.replicas,
            retention_ms=topic.number("retention.ms"),
            problem=self._problem(topic, found),
            danger="; ".join(remark.text for remark in remarks) or None,
            unchecked=self._unread if unread else None,
            mend=tuple(self._mend(topic.name, remark.mend) for remark in remarks if remark.mend),
        )

    def _problem(self, topic: TopicFacts, found: Mapping[str, TopicFacts]) -> str | None:
        if topic.presence is not Presence.PRESENT:
            text = missing(topic.name, self._connection).removeprefix(f"topic {topic.name} ")
            return f"{text} (--group {self._group})" if topic.role == "state" else text
        return problem(topic, found["frames"])

    def _mend(self, topic: str, settings: Mapping[str, str]) -> str:
        """Return the command of Kafka that sets these settings."""
        secured = (
            ""
            if not self._connection.security.protocol.has_login
            else (" --command-config admin.properties")
        )
        wanted = ",".join(f"{name}={value}" for name, value in settings.items())
        return (
            f"kafka-configs.sh --bootstrap-server {self._connection.shown}{secured} --alter"
            f" --entity-type topics --entity-name {topic} --add-config {wanted}"
        )

    def require(self) -> int:
        """Count the partitions. Raises `NotPermittedError`, `TopicError`, `PartitionCountError`.

        Only topics that workers need are looked at.
        """
        return self._require(_needed(self.describe()), allow_missing=False)

    def _require(self, found: Mapping[str, TopicFacts], *, allow_missing: bool) -> int:
        """See `require`."""
        wrong = [
            (topic, text)
            for topic in found.values()
            if (text := self._problem(topic, found)) is not None
            and not (allow_missing and topic.presence is Presence.MISSING)
        ]
        state = found["state"]
        if state.presence is Presence.PRESENT and state.settings is None:
            raise NotPermittedError(f"topic {state.name}: {self._unread}")
        if not wrong:
            return found["frames"].partitions
        text = "; ".join(f"topic {topic.name} {text}" for topic, text in wrong)
        kinds = {topic.presence for topic, _ in wrong}
        if Presence.HIDDEN in kinds:
            raise NotPermittedError(text)
        if Presence.MISSING in kinds:
            raise TopicError(text)
        raise PartitionCountError(f"{text} (--group {self._group})")

    def verdict(self, reports: Sequence[TopicReport]) -> StopError | None:
        """Return the error to end with after `check`; None if nothing is wrong."""
        try:
            self._require(self.describe(), allow_missing=False)
        except StopError as exc:
            return exc
        where = [one for one in reports if one.danger is not None]
        if where:
            text = "; ".join(f"topic {one.name}: {one.danger}" for one in where)
            return PartitionCountError(f"{text} (--group {self._group})")
        unread = [f"topic {one.name}: {one.unchecked}" for one in reports if one.unchecked]
        return NotPermittedError("; ".join(unread)) if unread else None

    def require_topic(self, topic: str) -> None:
        """Raise `TopicError` or `NotPermittedError` if a topic is missing or cannot be seen."""
        presence = presence_of(self._described([topic])[topic])
        if presence is Presence.PRESENT:
            return
        kind = TopicError if presence is Presence.MISSING else NotPermittedError
        raise kind(missing(topic, self._connection))

    def describe(self) -> dict[str, TopicFacts]:
        """Return the facts of each topic of the group, by role."""
        by_role = names(self._topics)
        described = self._described(list(by_role.values()))
        facts = {role: facts_of(name, role, described[name]) for role, name in by_role.items()}
        readable = [one.name for one in facts.values() if "DESCRIBE_CONFIGS" in one.operations]
        settings = self._settings(readable)
        return {role: replace(one, settings=settings.get(one.name)) for role, one in facts.items()}

    def _described(self, topics: Sequence[str]) -> dict[str, Mapping[str, object]]:
        """Return the broker's descriptions. One that it does not give counts as missing."""
        with translated("looking topics up", self._connection, needs="DESCRIBE"):
            found = self._admin.describe_topics(list(topics))
        by_name = {one["name"]: one for one in found}
        absent = {"error_code": UnknownTopicOrPartitionError.errno}
        return {topic: by_name.get(topic, absent) for topic in topics}

    def _settings(self, topics: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """Return all settings of topics, those of the broker's defaults too."""
        if not topics:
            return {}
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        doing = f"reading the settings of {', '.join(topics)}"
        with translated(doing, self._connection, needs="DESCRIBE_CONFIGS"):
            found = self._admin.describe_configs(wanted, config_filter="all")
        return {
            topic: {name: str(one["value"]) for name, one in settings.items()}
            for topic, settings in found.get("topic", {}).items()
            if settings
        }

    def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of each topic that exists."""
        described = self._described(list(names(self._topics).values()))
        facts = [facts_of(name, "", one) for name, one in described.items()]
        return {one.name: one.partitions for one in facts if one.presence is Presence.PRESENT}

    def groups(self) -> list[str]:
        """Return the names of all groups that have a changelog, as far as we may see them."""
        with translated("looking groups up", self._connection, needs="DESCRIBE"):
            found = self._admin.list_topics()
        return sorted(n.removesuffix(STATE_SUFFIX) for n in found if n.endswith(STATE_SUFFIX))

    @property
    def _unread(self) -> str:
        return f"{self._connection.security.user} may not read its settings (DESCRIBE_CONFIGS)"

    @property
    def _group(self) -> str:
        return self._topics.state.removesuffix(STATE_SUFFIX)

    @property
    def _brokers(self) -> int:
        with translated("counting brokers", self._connection, needs="DESCRIBE"):
            return len(self._admin.describe_cluster()["brokers"])

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


def _needed(found: Mapping[str, TopicFacts]) -> dict[str, TopicFacts]:
    """Leave out the topics that workers do without."""
    return {role: one for role, one in found.items() if role not in OPTIONAL}
