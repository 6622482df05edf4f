"""A group as commands use it that are no member: its members and topics, commits while empty.

`longtake reset` and `longtake topics grow`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import InvalidPartitionsError, PolicyViolationError
from kafka.structs import ConsumerGroupMetadata

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.growth_log import PartitionCounts
from pipeline.broker.kafka.outlet import KafkaOutlet
from pipeline.broker.kafka.permissions import compare
from pipeline.broker.kafka.privileges import Command
from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.vendor.border import require_crc32c, translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.clock import Clock
from pipeline.connection import RESET_SLOT, GroupSettings, transactional_id
from pipeline.errors import (
    BrokerUnavailableError,
    CannotMoveError,
    ConfigError,
    NotPermittedError,
    TopicError,
)
from pipeline.records import STATE_SUFFIX, Changelog, Outgoing, Record, Topics

KNOWN_S = 30.0  # for new partitions to be known by every broker
LOOK_S = 0.2


class KafkaGroup:
    """Commits for a group without being a member. One thread."""

    def __init__(self, settings: GroupSettings, *, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._group = settings.group

    def members(self) -> Sequence[str]:
        """Return the names of the members and their addresses."""
        with translated(f"looking group {self._group} up", self._settings.connection):
            admin = open_admin(self._settings.connection)
            found = admin.describe_groups([self._group])[self._group]
            admin.close()
        return [
            f"{m['group_instance_id'] or m['member_id']} {m['client_host']}"
            for m in found["members"]
        ]

    def require_empty(self) -> None:
        """Raise `CannotMoveError`, with the members' names, if workers are in the group."""
        names = self.members()
        if names:
            raise CannotMoveError(
                f"group {self._group} is at work: {', '.join(names)}. Stop these workers; one that"
                " was killed, or that stays at a stop (--on-stop stay), is a member until its"
                " session_timeout_s is over"
            )

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint like a worker, without being a member.

        K7: the broker does not fence such a commit, even if the group has members. So the group is
        checked once more, as late as possible.
        """
        writer = KafkaWriter(
            self._settings.connection,
            topics=self._settings.topics,
            name=transactional_id(self._group, RESET_SLOT),
            transaction_timeout_s=self._settings.transaction_timeout_s,
            longest_transaction_s=self._settings.longest_transaction_s,
            clock=self._clock,
        )
        try:
            self.require_empty()
            no_member = ConsumerGroupMetadata(self._group, -1, "", None)
            writer.commit(checkpoint, Member("", -1, no_member))
        finally:
            writer.close()


class KafkaGrowth:
    """See `GrowthLog`. `BrokerUnreachableError` if no broker answers."""

    def __init__(self, settings: GroupSettings, *, clock: Clock) -> None:
        require_crc32c()
        self._settings, self._clock = settings, clock
        self._connection = settings.connection
        self._topics = TopicAdmin(self._connection, settings.topics)
        self._admin: KafkaAdminClient = open_admin(self._connection)
        self._group = KafkaGroup(settings, clock=clock)
        self._changelog = KafkaChangelog(
            self._connection,
            topics=settings.topics,
            group=settings.group,
            stall_s=settings.stall_s,
            clock=clock,
        )
        self._reader = SpanReader(self._connection, stall_s=settings.stall_s, clock=clock)
        self._outlet = KafkaOutlet(
            self._connection, topic_of=settings.topics.of, what="marks of a growth", clock=clock
        )

    @property
    def topics(self) -> Topics:
        """See `GrowthLog`."""
        return self._settings.topics

    def counts(self) -> PartitionCounts:
        """See `GrowthLog`."""
        found = self._topics.describe()
        for role in ("frames", "predictions", "state"):
            if not found[role].partitions:
                raise TopicError(
                    f"topic {found[role].name} is missing, or {self._connection.security.user} may"
                    f" not see it: `longtake topics check --group {self._settings.group}`"
                )
        for role, wanted in (("frames", "delete"), ("state", "compact")):
            policy = found[role].text("cleanup.policy")
            if policy not in (None, wanted):
                raise TopicError(
                    f"topic {found[role].name} has cleanup.policy={policy}, wanted {wanted}:"
                    " records could be deleted before they are read or moved"
                )
        return PartitionCounts(
            found["frames"].partitions, found["predictions"].partitions, found["state"].partitions
        )

    def neighbours(self, partitions: int) -> Sequence[str]:
        """See `GrowthLog`. A group with fewer partitions than `partitions` is not prepared."""
        others = [name for name in self._topics.groups() if name != self._settings.group]
        return [name for name in others if self._reads_frames(name, fewer_than=partitions)]

    def _reads_frames(self, group: str, *, fewer_than: int) -> bool:
        known = self._reader.partitions(f"{group}{STATE_SUFFIX}")
        if len(known) >= fewer_than:
            return False
        try:
            with translated(f"looking group {group} up", self._connection, needs="DESCRIBE"):
                found: Any = self._admin.list_group_offsets({group: None})  # type: ignore[no-untyped-call]
        except NotPermittedError:
            return False
        return any(place.topic == self.topics.frames for place in found.get(group, {}))

    def try_growth(self, partitions: int) -> None:
        """See `GrowthLog`."""
        found = compare(self._connection, Command.TOPICS_GROW, self.topics, self._settings.group)
        gaps = [f"{', '.join(one.lacking)} on {one.resource}" for one in found if one.lacking]
        if gaps:
            raise NotPermittedError(
                f"the broker does not permit {self._connection.security.user} to"
                f" {'; '.join(gaps)}: nothing was changed"
            )
        counts = self.counts()
        lacking = {
            topic: partitions
            for topic, count in (
                (self.topics.frames, counts.frames),
                (self.topics.predictions, counts.predictions),
                (self.topics.state, counts.state),
            )
            if count < partitions
        }
        if lacking:
            self._create(lacking, only_try=True)

    def grow(self, topic: str, partitions: int) -> None:
        """See `GrowthLog`."""
        self._create({topic: partitions}, only_try=False)
        deadline_s = self._clock.monotonic() + KNOWN_S
        while self._topics.partition_counts().get(topic, 0) < partitions:
            if self._clock.monotonic() > deadline_s:
                raise BrokerUnavailableError(
                    f"topic {topic} was given {partitions} partitions, and they are not known after"
                    f" {KNOWN_S:.0f} s: run the command again"
                )
            time.sleep(LOOK_S)

    def _create(self, wanted: Mapping[str, int], *, only_try: bool) -> None:
        doing = f"giving topics {', '.join(wanted)} more partitions"
        with translated(doing, self._connection, needs="ALTER"):
            try:
                self._admin.create_partitions(dict(wanted), validate_only=only_try)
            except InvalidPartitionsError as exc:
                raise ConfigError(f"{doing}: the cluster refuses it: {exc}") from exc
            except PolicyViolationError as exc:
                raise ConfigError(f"{doing}: the cluster's policy refuses it: {exc}") from exc

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """See `GrowthLog`."""
        return self._changelog.read(list(partitions))

    def frames(self, start: Mapping[int, int]) -> Iterator[Sequence[Record]]:
        """See `GrowthLog`."""
        topic = self.topics.frames
        spans = {
            number: range(max(start[number], span.start), span.stop)
            for number, span in self._reader.spans(topic, start).items()
        }
        return self._reader.read(topic, {n: span for n, span in spans.items() if span})

    def members(self) -> Sequence[str]:
        """See `GrowthLog`."""
        return self._group.members()

    def write(self, outgoing: Sequence[Outgoing]) -> None:
        """See `GrowthLog`."""
        deadline_s = self._clock.monotonic() + KNOWN_S
        while outgoing:
            try:
                self._outlet.publish(outgoing)
            except ValueError as exc:  # the producer does not know a partition that is new
                if self._clock.monotonic() > deadline_s:
                    raise BrokerUnavailableError(f"marking partitions: {exc}") from exc
                self._outlet.close()
                time.sleep(LOOK_S)
            else:
                return

    def commit(self, checkpoint: Checkpoint) -> None:
        """See `GrowthLog`."""
        self._group.commit(checkpoint)

    def close(self) -> None:
        """See `GrowthLog`."""
        self._outlet.close()
        self._changelog.close()
        self._reader.close()
        self._admin.close()
        self._topics.close()
