"""Finds which of a command's least privileges our user lacks, without any right of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAuthorizationFailedError

from pipeline.broker.kafka.privileges import (
    Command,
    Operation,
    Privilege,
    ResourceKind,
    privileges,
)
from pipeline.broker.kafka.topics import BOOTSTRAP_MS
from pipeline.broker.kafka.vendor.authorized import (
    permitted_on_group,
    permitted_on_transactional_id,
)
from pipeline.broker.kafka.vendor.border import at_start, translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.records import Topics

PROBE = "topics-check"  # behind a prefix of transactional ids


@dataclass(frozen=True, slots=True)
class PrivilegeGap:
    """One privilege of a command, and which of its operations are not permitted."""

    privilege: Privilege
    lacking: tuple[Operation, ...]

    @property
    def resource(self) -> str:
        """The resource, as messages show it."""
        star = "*" if self.privilege.prefixed else ""
        return f"{self.privilege.resource_kind} {self.privilege.name}{star}"

    def mend(self, connection: Connection) -> str:
        """Return the command of Kafka that permits what is lacking."""
        option = "--" + self.privilege.resource_kind.lower().replace("_", "-")
        prefixed = " --resource-pattern-type prefixed" if self.privilege.prefixed else ""
        user = connection.security.user
        principal = user if user.startswith("User:") else "User:NAME"
        operations = " ".join(f"--operation {one}" for one in self.lacking)
        return (
            f"kafka-acls.sh --bootstrap-server {connection.shown} --command-config admin.properties"
            f" --add --allow-principal '{principal}' {operations}"
            f" {option} '{self.privilege.name}'{prefixed}"
        )


def compare(
    connection: Connection, command: Command, topics: Topics, group: str
) -> Sequence[PrivilegeGap]:
    """Compare the least privileges of a command with what the broker permits to our user."""
    with at_start():
        admin = open_admin(connection, bootstrap_timeout_ms=BOOTSTRAP_MS)
    try:
        found = []
        for one in privileges(command, topics, group):
            permitted = _permitted(admin, connection, one)
            lacking = tuple(sorted(operation for operation in one.operations - permitted))
            found.append(PrivilegeGap(one, lacking))
        return found
    finally:
        admin.close()


def _permitted(
    admin: KafkaAdminClient, connection: Connection, privilege: Privilege
) -> frozenset[str]:
    name = privilege.name
    with translated(f"looking up what is permitted on {name}", connection, needs="DESCRIBE"):
        match privilege.resource_kind:
            case ResourceKind.TOPIC:
                return _on_topic(admin, name)
            case ResourceKind.GROUP:
                return permitted_on_group(admin, name)
            case ResourceKind.TRANSACTIONAL_ID:
                probed = f"{name}{PROBE}" if privilege.prefixed else name
                return permitted_on_transactional_id(admin, probed)


def _on_topic(admin: KafkaAdminClient, name: str) -> frozenset[str]:
    """Return what is permitted on a topic; CREATE too if it is permitted on the whole cluster."""
    (found,) = admin.describe_topics([name])
    if found["error_code"] == TopicAuthorizationFailedError.errno:
        return frozenset()
    cluster = admin.describe_cluster().get("authorized_operations") or ()
    operations = frozenset(found.get("authorized_operations") or ())
    return operations | ({"CREATE"} & set(cluster))
