"""Gives users of a Kafka their passwords and privileges, for the secured local Kafka."""

from collections.abc import Iterable

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)

from pipeline.broker.kafka.privileges import Privilege
from pipeline.broker.kafka.vendor.border import at_start, translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection, SaslMechanism
from pipeline.errors import BrokerUnavailableError

SCRAM = (SaslMechanism.SCRAM_SHA_256, SaslMechanism.SCRAM_SHA_512)
CONNECT_MS = 10_000


class UserAdmin:
    """Changes users. Its own user has to be a super user. `BrokerUnreachableError` if none answers.

    A password goes to the broker as a salted hash: no process and no log ever has it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with at_start():
            self._admin = open_admin(connection, bootstrap_timeout_ms=CONNECT_MS)

    def set_password(self, user: str, password: str) -> None:
        """Let a user log in by SCRAM with this password, and with no other from now on."""
        for mechanism in SCRAM:  # the broker accepts one change of a user per request
            wanted = UserScramCredentialUpsertion(user, mechanism.value, password)
            with translated(f"setting the password of {user}", self._connection, needs="ALTER"):
                refused = self._admin.alter_user_scram_credentials([wanted])[user]
            if refused is not None:
                raise BrokerUnavailableError(f"the password of {user} was not set: {refused}")

    def allow(self, user: str, privileges: Iterable[Privilege]) -> None:
        """Allow a user what the privileges say, in addition to what it is allowed already."""
        wanted = [acl for privilege in privileges for acl in _acls(user, privilege)]
        with translated(f"allowing {user} its privileges", self._connection, needs="ALTER"):
            refused = self._admin.create_acls(wanted)["failed"]
        if refused:
            raise BrokerUnavailableError(f"privileges of {user} were not set: {refused}")

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()


def _acls(user: str, privilege: Privilege) -> list[ACL]:
    kind = ResourceType[privilege.resource_kind]
    patterns = ACLResourcePatternType
    pattern = patterns.PREFIXED if privilege.prefixed else patterns.LITERAL
    resource = ResourcePattern(kind, privilege.name, pattern)
    return [
        ACL(f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, resource)
        for operation in sorted(privilege.operations)
    ]
