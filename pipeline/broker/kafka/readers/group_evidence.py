"""Looks up which topics a group has now, by their ids, and which offsets it has committed."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from pipeline.broker.kafka.vendor.authorized import AGAIN_S, COORDINATOR_S, NOT_YET
from pipeline.broker.kafka.vendor.border import translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.records import Topics


class GroupEvidence:
    """See `ChangelogReader`. It connects at the first question, and anew after one that failed.

    One thread at a time.
    """

    def __init__(self, connection: Connection, *, topics: Topics, group: str) -> None:
        self._connection, self._topics, self._group = connection, topics, group
        self._opened: KafkaAdminClient | None = None

    def topic_ids(self) -> dict[str, str]:
        """See `ChangelogReader`. Needs DESCRIBE of each topic; a hidden one is left out."""
        by_role = self._topics.by_role
        with self._asking("looking topics up") as admin:
            found = admin.describe_topics(sorted(set(by_role.values())))
        ids = {one["name"]: _shown(one.get("topic_id")) for one in found if not one["error_code"]}
        return {role: ids[name] for role, name in by_role.items() if ids.get(name)}

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`. Needs DESCRIBE of the group."""
        places = [TopicPartition(self._topics.frames, number) for number in partitions]
        with self._asking(f"reading the committed offsets of group {self._group}") as admin:
            found = self._committed(admin, places)
        known = {place.partition: one.offset for place, one in found.items()}
        return {n: offset for n, offset in known.items() if offset is not None and offset >= 0}

    def _committed(
        self, admin: KafkaAdminClient, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """Wait for the coordinator: a cluster's first group makes a topic first."""
        deadline_s = time.monotonic() + COORDINATOR_S
        while True:
            try:
                answer = admin.list_group_offsets({self._group: places})  # type: ignore[no-untyped-call]
            except NOT_YET:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(AGAIN_S)
            else:
                found: Mapping[TopicPartition, OffsetAndMetadata] = answer[self._group]
                return found

    @contextmanager
    def _asking(self, doing: str) -> Iterator[KafkaAdminClient]:
        try:
            with translated(doing, self._connection, needs="DESCRIBE"):
                self._opened = self._opened or open_admin(self._connection)
                yield self._opened
        except BaseException:
            self.close()  # this client fails at once as long as it waits to connect again
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


def _shown(topic_id: object) -> str:
    """Return an id as Kafka's own tools show it; empty if a broker before 2.8 has none."""
    if topic_id is None:
        return ""
    number = UUID(str(topic_id))
    return urlsafe_b64encode(number.bytes).decode().rstrip("=") if number.int else ""
