"""The security of one running local Kafka: what its nodes need, and who may do what."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.broker.kafka.privileges import Role, role_privileges
from pipeline.broker.kafka.users import UserAdmin
from pipeline.broker.kafka.vendor.nodes import nodes_serving
from pipeline.connection import Connection, SaslMechanism
from pipeline.errors import LocalKafkaError
from pipeline.local.node_properties import Node
from pipeline.local.ports import HOST
from pipeline.local.secure.client_files import write_client_files
from pipeline.local.secure.secure_folder import SecureFolder
from pipeline.local.secure.secured_node import copy_certificates, java_options, security_settings
from pipeline.records import Topics

ADMITTED_S = 30.0  # until every node knows the users
ASK_S = 5.0
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Secure:
    """A local Kafka with TLS, logins and ACLs.

    `folder` has the certificates, passwords and clients' settings; if it has them already, they
    are used again. The roles may run their commands for `groups`, each with its topics. With
    `jwks`, a file of public keys (RFC 7517), tokens that one of them has signed for the audience
    `longtake` log in by OAUTHBEARER.
    """

    folder: Path
    groups: tuple[tuple[Topics, str], ...] = ()
    jwks: Path | None = None


class Protection:
    """Claims the folder of a secured local Kafka until `close`."""

    def __init__(self, secure: Secure) -> None:
        self._secure = secure
        self._folder = SecureFolder(secure.folder)
        self._nodes: Sequence[Node] = ()

    @property
    def java_options(self) -> tuple[str, ...]:
        """What Java must be told."""
        return java_options(self._secure.jwks)

    @property
    def connection(self) -> Connection:
        """How the administrator, who may do everything, reaches the nodes."""
        return self._folder.administrator(self._mtls_bootstrap)

    def prepare(self, nodes: Sequence[Node]) -> Mapping[str, str]:
        """Put what the nodes need into their folders. Returns their further settings."""
        self._nodes = nodes
        for node in nodes:
            node.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy_certificates(self._folder, node.folder)
        listeners = {one.name for node in nodes for one in node.listeners if one.has_login}
        return security_settings(self._folder, sorted(listeners), self._secure.jwks)

    def probe(self, node: Node) -> Connection:
        """Return how the administrator reaches one node, before there are users."""
        return self._folder.administrator(f"{HOST}:{node.mtls_port}")

    def by_password(self, role: Role, mechanism: SaslMechanism) -> Connection:
        """Return how a role reaches the nodes with its password."""
        return self._folder.by_password(role, self._bootstrap, mechanism)

    def by_certificate(self, role: Role) -> Connection:
        """Return how a role reaches the nodes with its certificate."""
        return self._folder.by_certificate(role, self._mtls_bootstrap)

    @property
    def folder(self) -> SecureFolder:
        """The certificates, the passwords and the files of clients."""
        return self._folder

    def admit(self) -> None:
        """Make the users, write the files of clients, and wait until every node knows the users."""
        self.grant(self._secure.groups)
        admin = UserAdmin(self.connection)
        for role in Role:
            admin.set_password(role.value, self._folder.password(role))
        admin.close()
        for node in self._nodes:  # the password of the last role is what a node learns last
            last = self._folder.by_password(role, node.address, SaslMechanism.SCRAM_SHA_512)
            self._await(node, last)
        write_client_files(self._folder, self._bootstrap, self._mtls_bootstrap)

    def grant(self, groups: Iterable[tuple[Topics, str]]) -> None:
        """Allow each role its commands for these groups and their topics."""
        every = list(groups)
        admin = UserAdmin(self.connection)
        for role in Role:
            admin.allow(role.value, role_privileges(role, every))
        admin.close()

    def close(self) -> None:
        """Let another local Kafka use the folder."""
        self._folder.close()

    def _await(self, node: Node, connection: Connection) -> None:
        deadline = time.monotonic() + ADMITTED_S
        while not nodes_serving(connection, ASK_S):
            if time.monotonic() >= deadline:
                raise LocalKafkaError(
                    f"node {node.node_id} of the local Kafka still refuses its users after"
                    f" {ADMITTED_S:.0f} s; its log is {node.log}"
                )
            time.sleep(PAUSE_S)

    @property
    def _bootstrap(self) -> str:
        return ",".join(node.address for node in self._nodes)

    @property
    def _mtls_bootstrap(self) -> str:
        return ",".join(f"{HOST}:{node.mtls_port}" for node in self._nodes)
