"""Kafka as the manifests see it: one number of partitions, the topics, users and KEDA's trigger."""

import re
from typing import Any

import pytest

from pipeline.broker.kafka.privileges import (
    Operation,
    Privilege,
    ResourceKind,
    Role,
    role_privileges,
)
from pipeline.broker.kafka.topic_rules import new_settings
from pipeline.broker.kafka.topics import names
from pipeline.config import WorkerConfig
from tests.deploy.kubernetes.kustomize import render_with
from tests.deploy.kubernetes.pods import COMPONENTS, KUBERNETES, Tree, tree, trees

OF_STRIMZI = {
    "topic": ResourceKind.TOPIC,
    "group": ResourceKind.GROUP,
    "transactionalId": ResourceKind.TRANSACTIONAL_ID,
}
EXAMPLE, BASE = tree("example"), tree("base")
CONFIG = WorkerConfig(group=EXAMPLE.config_map("longtake")["LONGTAKE_GROUP"])


def privileges_of(user: dict[str, Any]) -> set[Privilege]:
    return {
        Privilege(
            OF_STRIMZI[acl["resource"]["type"]],
            acl["resource"]["name"],
            acl["resource"].get("patternType") == "prefix",
            frozenset(_operation(name) for name in acl["operations"]),
        )
        for acl in user["spec"]["authorization"]["acls"]
    }


def _operation(name: str) -> Operation:
    """Strimzi's DescribeConfigs is our DESCRIBE_CONFIGS."""
    return Operation(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper())


def partitions(rendered: Tree) -> set[int]:
    """Every number of partitions in the manifests."""
    jobs = [word for one in rendered.containers for word in one.arguments if "--partitions" in word]
    found = {int(word.partition("=")[2]) for word in jobs}
    found |= {one["spec"]["maxReplicaCount"] for one in rendered.of("ScaledObject")}
    return found | {one["spec"]["partitions"] for one in rendered.of("KafkaTopic")}


@pytest.mark.parametrize("rendered", trees(), ids=lambda one: one.name)
def test_there_is_one_number_of_partitions(rendered: Tree) -> None:
    assert partitions(rendered) == {4}


@pytest.mark.parametrize("role", Role)
def test_a_user_has_the_least_privileges_of_its_role(role: Role) -> None:
    user = EXAMPLE.the("KafkaUser", f"longtake-{role}")
    assert privileges_of(user) == set(role_privileges(role, [(CONFIG.topics, CONFIG.group)]))


def test_topics_have_the_settings_that_our_own_command_gives_them() -> None:
    wanted = {
        name: new_settings(role, replicas=3, retention_ms=None)
        for role, name in names(CONFIG.topics).items()
    }
    found = EXAMPLE.of("KafkaTopic")
    configs = {one["metadata"]["name"]: one["spec"]["config"] for one in found}
    assert {n: {k: str(v) for k, v in c.items()} for n, c in configs.items()} == wanted
    assert {one["spec"]["replicas"] for one in found} == {3}


def test_either_the_job_creates_the_topics_or_the_operator() -> None:
    assert (len(BASE.of("Job")), BASE.of("KafkaTopic")) == (1, [])
    assert (EXAMPLE.of("Job"), len(EXAMPLE.of("KafkaTopic"))) == ([], 5)


def test_every_secret_of_a_user_belongs_to_a_user_that_may_do_its_work() -> None:
    wanted = {
        "worker": "longtake-worker",
        "camera": "longtake-camera",
        "topics": "longtake-operator",
    }
    for kind in ("kafka-tls", "kafka-login"):
        rendered = Tree(kind, render_with(KUBERNETES / "base", COMPONENTS / kind))
        secrets = {
            one.arguments[0]: one.workload.volumes["kafka-user"]["secret"]["secretName"]
            for one in rendered.containers
        }
        assert secrets == wanted
    logins = {
        one.arguments[0]: one.environment["LONGTAKE_SASL_USERNAME"]
        for one in tree("login").containers
    }
    assert logins == wanted


@pytest.mark.parametrize(
    "rendered",
    [EXAMPLE, Tree("keda", render_with(KUBERNETES / "base", COMPONENTS / "keda"))],
    ids=lambda one: one.name,
)
def test_keda_looks_at_the_lag_of_our_group(rendered: Tree) -> None:
    (scaled,) = rendered.of("ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    shared, found = rendered.config_map("longtake"), trigger["metadata"]
    assert found["bootstrapServers"] == shared["LONGTAKE_BOOTSTRAP"]
    assert found["bootstrapServers"].count(".") == 2  # KEDA is in another namespace
    assert (found["consumerGroup"], found["topic"]) == (CONFIG.group, CONFIG.topics.frames)
    assert found["offsetResetPolicy"] == CONFIG.start
    assert {type(value) for value in found.values()} == {str}  # KEDA refuses numbers


def test_keda_alone_has_the_number_of_workers() -> None:
    (scaled,) = EXAMPLE.of("ScaledObject")
    target = scaled["spec"]["scaleTargetRef"]
    workers = EXAMPLE.the(target["kind"], target["name"])
    assert workers["apiVersion"] == target["apiVersion"]
    assert "replicas" not in workers["spec"]
    assert 1 <= scaled["spec"]["minReplicaCount"] <= scaled["spec"]["maxReplicaCount"]


def test_keda_logs_in_as_a_user_that_may_only_look() -> None:
    (login,) = EXAMPLE.of("TriggerAuthentication")
    (scaled,) = EXAMPLE.of("ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["authenticationRef"] == {"name": login["metadata"]["name"]}
    assert trigger["metadata"]["tls"] == "enable"
    secrets = {one["name"] for one in login["spec"]["secretTargetRef"]}
    user = EXAMPLE.the("KafkaUser", (secrets - {"kafka-cluster-ca-cert"}).pop())
    writes = {Operation.WRITE, Operation.CREATE}
    assert all(not one.operations & writes for one in privileges_of(user))
