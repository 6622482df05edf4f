"""Each role may do what its commands need, and nothing else: both directions, on every resource."""

import itertools
import os
from contextlib import closing

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    NewTopic,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError

from pipeline.broker.kafka.privileges import Operation, ResourceKind, Role, role_privileges
from pipeline.broker.kafka.topics import TopicAdmin, names
from pipeline.broker.kafka.users import UserAdmin
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.errors import LongtakeError
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics
from tests.pipeline.local.secure import attempts

pytestmark = pytest.mark.kafka

INTERNAL = ("__consumer_offsets", "__transaction_state")
DESCRIBING = {Operation.READ, Operation.WRITE}
_numbers = itertools.count()


def topics_of(group: str) -> Topics:
    roles = ("frames", "predictions", "dlq", "state", "cameras")
    return Topics(*(f"{group}.{role}" for role in roles))


@pytest.fixture(scope="module")
def groups(secured: LocalKafka) -> tuple[str, str]:
    """A group that the roles work for, and one that is none of their business."""
    ours, theirs = (f"p{os.getpid()}-{next(_numbers)}" for _ in range(2))
    secured.protection.grant([(topics_of(ours), ours)])
    for group in (ours, theirs):
        with closing(TopicAdmin(secured.connection, topics_of(group))) as admin:
            admin.create(1)
        attempts.make_group(secured.connection, group, topics_of(group).frames)
    every = [*names(topics_of(ours)).values(), *names(topics_of(theirs)).values()]
    assert attempts.writes(secured.connection, every) == set(every)
    assert attempts.begins(secured.connection, f"{theirs}.a")  # makes __transaction_state
    return ours, theirs


def allowed(role: Role, group: str, kind: ResourceKind, name: str) -> set[str]:
    """What the table allows a role on a resource."""
    found: set[Operation] = set()
    for one in role_privileges(role, [(topics_of(group), group)]):
        covered = name.startswith(one.name) if one.prefixed else name == one.name
        if one.resource_kind is kind and covered:
            found |= one.operations
    return {*found} | ({Operation.DESCRIBE} if found & DESCRIBING else set())


@pytest.mark.parametrize("role", Role)
def test_the_broker_allows_on_topics_what_the_table_says(
    secured: LocalKafka, groups: tuple[str, str], role: Role
) -> None:
    ours, theirs = groups
    every = [*names(topics_of(ours)).values(), *names(topics_of(theirs)).values(), *INTERNAL]
    wanted = {name: allowed(role, ours, ResourceKind.TOPIC, name) for name in every}
    assert attempts.on_topics(secured.connection_for(role), every) == wanted


@pytest.mark.parametrize("role", Role)
def test_the_broker_allows_on_groups_what_the_table_says(
    secured: LocalKafka, groups: tuple[str, str], role: Role
) -> None:
    connection = secured.connection_for(role)
    for group in groups:
        wanted = allowed(role, groups[0], ResourceKind.GROUP, group)
        assert attempts.on_group(connection, group) == wanted


@pytest.mark.parametrize("role", Role)
def test_no_role_may_do_anything_on_the_cluster(secured: LocalKafka, role: Role) -> None:
    assert attempts.on_cluster(secured.connection_for(role)) == set()
    assert attempts.on_cluster(secured.connection) != set()


@pytest.mark.parametrize("role", Role)
def test_what_it_may_not_write_or_read_is_refused(
    secured: LocalKafka, groups: tuple[str, str], role: Role
) -> None:
    connection = secured.connection_for(role)
    every = [name for group in groups for name in names(topics_of(group)).values()]
    for operation, tried in ((Operation.WRITE, attempts.writes), (Operation.READ, attempts.reads)):
        wanted = {n for n in every if operation in allowed(role, groups[0], ResourceKind.TOPIC, n)}
        assert tried(connection, every) == wanted


@pytest.mark.parametrize("role", Role)
def test_a_transactional_id_is_for_those_whose_commands_use_it(
    secured: LocalKafka, groups: tuple[str, str], role: Role
) -> None:
    connection, (ours, theirs) = secured.connection_for(role), groups
    for name in (f"{ours}.slot", f"{ours}.reset", ours, f"{ours}x.slot", f"{theirs}.slot"):
        wanted = Operation.WRITE in allowed(role, ours, ResourceKind.TRANSACTIONAL_ID, name)
        assert attempts.begins(connection, name) is wanted, name


@pytest.mark.parametrize("role", Role)
def test_no_role_can_make_delete_or_change_what_is_not_its_own(
    secured: LocalKafka, groups: tuple[str, str], role: Role
) -> None:
    frames = topics_of(groups[0]).frames
    with closing(open_admin(secured.connection_for(role))) as admin:
        with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
            admin.create_topics([NewTopic(f"{groups[0]}.more", 1, 1)])
        with pytest.raises(TopicAuthorizationFailedError):
            admin.delete_topics([frames])


def acl(role: Role) -> ACL:
    resource = ResourcePattern(ResourceType.TOPIC, "*")
    return ACL(f"User:{role}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, resource)


@pytest.mark.parametrize("role", Role)
def test_no_role_can_give_itself_more(secured: LocalKafka, role: Role) -> None:
    connection: Connection = secured.connection_for(role)
    with closing(open_admin(connection)) as admin:
        assert admin.create_acls([acl(role)])["failed"]
    with closing(UserAdmin(connection)) as users, pytest.raises(LongtakeError, match="not"):
        users.set_password("operator", "of-the-thief")
