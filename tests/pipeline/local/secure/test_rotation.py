"""A replaced password or certificate is used by the next connection of a client that runs on."""

import itertools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import NodeNotReadyError

from pipeline.broker.kafka.privileges import Command, Role, privileges
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.users import UserAdmin
from pipeline.broker.kafka.vendor.nodes import nodes_serving
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection, Login, SaslMechanism, Security, SecurityProtocol, Tls
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics
from pipeline.secrets import Secret
from tests.cli.commands import until

pytestmark = pytest.mark.kafka
OF_USER = {"CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"}
OF_CAMERA = {"WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
OF_OPERATOR = OF_USER | {"ALTER", "READ", "WRITE"}
_numbers = itertools.count()


@contextmanager
def users_of(secured: LocalKafka) -> Iterator[UserAdmin]:
    with closing(UserAdmin(secured.connection)) as users:
        yield users


@dataclass(frozen=True, slots=True)
class RotatedClients:
    """Two clients whose secrets were replaced before their connections broke."""

    topic: str
    by_password: KafkaAdminClient
    by_certificate: KafkaAdminClient
    password: Path
    connection: Connection

    def may(self, client: KafkaAdminClient) -> set[str]:
        return until(lambda: self._told(client), "what a client may do")

    def _told(self, client: KafkaAdminClient) -> set[str] | None:
        try:
            return set(client.describe_topics([self.topic])[0]["authorized_operations"] or ())
        except NodeNotReadyError:
            return None  # it waits before it connects again


@pytest.fixture(scope="module")
def running(
    secured: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RotatedClients]:
    folder, users_folder = tmp_path_factory.mktemp("rotated"), secured.protection.folder
    user = f"r{os.getpid()}-{next(_numbers)}"
    topics = Topics(f"{user}.frames", f"{user}.predictions", f"{user}.dlq", f"{user}.state")
    secured.protection.grant([(topics, user)])
    with closing(TopicAdmin(secured.connection, topics)) as admin:
        admin.create(1)
    password, identity = folder / "password", folder / "identity.pem"
    password.write_text("the-first\n")
    identity.write_bytes(users_folder.identity(Role.CAMERA).read_bytes())
    login = Login(SaslMechanism.SCRAM_SHA_512, user, Secret(f"${{file:{password}}}"))
    tls = Tls(ca=users_folder.ca)
    connection = Connection(secured.bootstrap, Security(SecurityProtocol.SASL_SSL, tls, login))
    of_camera = secured.protection.by_certificate(Role.CAMERA)
    security = Security(SecurityProtocol.SSL, Tls(ca=users_folder.ca, certificate=identity))
    with users_of(secured) as users:
        users.allow(user, privileges(Command.TOPICS_CREATE, topics, user))
        users.set_password(user, "the-first")
    with (
        closing(open_admin(connection)) as by_password,
        closing(open_admin(Connection(of_camera.bootstrap, security))) as by_certificate,
    ):
        found = RotatedClients(topics.frames, by_password, by_certificate, password, connection)
        assert (found.may(by_password), found.may(by_certificate)) == (OF_USER, OF_CAMERA)
        with users_of(secured) as users:
            users.set_password(user, "the-second")
        password.write_text("the-second\n")
        identity.write_bytes(users_folder.identity(Role.OPERATOR).read_bytes())
        secured.restart(1)
        yield found


def test_the_new_password_is_used_without_a_restart_of_the_client(running: RotatedClients) -> None:
    assert running.may(running.by_password) == OF_USER


def test_the_old_password_is_refused(running: RotatedClients) -> None:
    running.password.write_text("the-first\n")
    assert nodes_serving(running.connection, 1) == 0
    running.password.write_text("the-second\n")
    assert nodes_serving(running.connection, 5) == 1


def test_the_new_certificate_is_used_without_a_restart_of_the_client(
    running: RotatedClients,
) -> None:
    assert running.may(running.by_certificate) == OF_OPERATOR
