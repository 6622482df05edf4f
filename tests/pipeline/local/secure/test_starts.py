"""A secured local Kafka that is started again, and one of three nodes."""

from contextlib import closing
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Role
from pipeline.broker.kafka.topic_rules import TopicReport
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.vendor.nodes import nodes_serving
from pipeline.config import load_config
from pipeline.connection import Connection
from pipeline.errors import LocalKafkaError
from pipeline.local.cluster import LocalKafka
from pipeline.local.secure.protection import Secure
from pipeline.records import Topics

TOPICS = Topics("frames", "predictions", "frames.dlq", "group.state")
GROUPS = ((TOPICS, "group"),)
TIMEOUT_S = 5.0


def client(users: Path, name: str) -> Connection:
    return load_config(None, {"kafka": users / f"{name}.toml"}).connection


def checked(connection: Connection) -> list[TopicReport]:
    with closing(TopicAdmin(connection, TOPICS)) as admin:
        return admin.create(1)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_second_start_knows_users_and_topics_and_takes_new_passwords(tmp_path: Path) -> None:
    data, users = tmp_path / "data", tmp_path / "users"
    with LocalKafka(data=data, secure=Secure(users, GROUPS)):
        created = checked(client(users, "operator"))
    (users / "operator.password").unlink()
    with LocalKafka(data=data, secure=Secure(users)):
        assert nodes_serving(client(users, "worker-mtls"), TIMEOUT_S) == 1
        again = checked(client(users, "operator"))
    assert [one.created for one in created + again] == [True] * 4 + [False] * 4


@pytest.mark.kafka
@pytest.mark.slow
def test_every_one_of_three_nodes_knows_the_users(tmp_path: Path) -> None:
    with LocalKafka(nodes=3, secure=Secure(tmp_path / "users", GROUPS)) as kafka:
        connection = kafka.connection_for(Role.OPERATOR)
        assert all(report.created for report in checked(connection))
        kafka.kill(2)
        kafka.restart(2)
        for server in connection.servers:
            assert nodes_serving(Connection(server, connection.security), TIMEOUT_S) == 3


def test_a_plain_one_has_no_roles() -> None:
    with pytest.raises(LocalKafkaError, match="not secured, or does not run"):
        LocalKafka().connection_for(Role.CAMERA)


def test_a_folder_that_cannot_be_used_ends_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    kafka = LocalKafka(data=tmp_path / "data", secure=Secure(tmp_path))
    with pytest.raises(LocalKafkaError, match="name a new folder"):
        kafka.start()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
