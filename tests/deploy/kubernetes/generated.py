"""Writes the manifests that repeat what is said elsewhere: rules, topics, users.

`python -m tests.deploy.kubernetes.generated`; a test fails while a file is not as it would be.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.broker.kafka.privileges import Operation, Privilege, Role, role_privileges
from pipeline.broker.kafka.topic_rules import new_settings
from pipeline.broker.kafka.topics import names
from pipeline.config import WorkerConfig
from tests.deploy.dockerfile import DEPLOY

COMPONENTS = DEPLOY / "kubernetes" / "components"
CONFIG = WorkerConfig(group="actions")
PARTITIONS, COPIES = 4, 3
HEAD = "# Written by `python -m tests.deploy.kubernetes.generated`, from {source}.\n"
OURS = {"app.kubernetes.io/name": "longtake"}
OF_STRIMZI = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactionalId"}


def groups_of_rules() -> list[dict[str, Any]]:
    """Return the groups of rules of deploy/prometheus, in the order of their evaluation."""
    files = (DEPLOY / "prometheus" / name for name in ("recording.yml", "alerts.yml"))
    return [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


def files() -> dict[Path, str]:
    """Return the text of each file."""
    rules = _manifest("monitoring.coreos.com/v1", "PrometheusRule", "longtake", OURS)
    rules["spec"] = {"groups": groups_of_rules()}
    return {
        COMPONENTS / "monitoring" / "rules.yaml": _text("deploy/prometheus", [rules]),
        COMPONENTS / "strimzi" / "topics.yaml": _text(
            "pipeline/broker/kafka/topic_rules.py", _topics()
        ),
        COMPONENTS / "strimzi" / "users.yaml": _text(
            "pipeline/broker/kafka/privileges.py", _users()
        ),
    }


def _text(source: str, manifests: list[dict[str, Any]]) -> str:
    return HEAD.format(source=source) + yaml.safe_dump_all(
        manifests, sort_keys=False, width=1000, default_flow_style=False
    )


def _manifest(version: str, kind: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(labels)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _of_strimzi(kind: str, name: str) -> dict[str, Any]:
    labels = OURS | {"strimzi.io/cluster": "kafka"}
    return _manifest("kafka.strimzi.io/v1", kind, name, labels)


def _topics() -> list[dict[str, Any]]:
    found = []
    for role, name in names(CONFIG.topics).items():
        settings = new_settings(role, replicas=COPIES, retention_ms=None)
        config = {key: int(text) if text.isdigit() else text for key, text in settings.items()}
        spec = {"partitions": PARTITIONS, "replicas": COPIES, "config": config}
        found.append(_of_strimzi("KafkaTopic", name) | {"spec": spec})
    return found


def _users() -> list[dict[str, Any]]:
    found = []
    for role in Role:
        acls = list(_acls(role_privileges(role, [(CONFIG.topics, CONFIG.group)])))
        authorization = {"type": "simple", "acls": acls}
        spec = {"authentication": {"type": "tls"}, "authorization": authorization}
        found.append(_of_strimzi("KafkaUser", f"longtake-{role}") | {"spec": spec})
    return found


def _acls(privileges: tuple[Privilege, ...]) -> Iterator[dict[str, Any]]:
    for one in privileges:
        resource = {"type": OF_STRIMZI[one.resource_kind], "name": one.name}
        resource["patternType"] = "prefix" if one.prefixed else "literal"
        operations = [_operation(name) for name in Operation if name in one.operations]
        yield {"resource": resource, "operations": operations}


def _operation(name: Operation) -> str:
    """Our DESCRIBE_CONFIGS is Strimzi's DescribeConfigs."""
    return "".join(word.title() for word in name.split("_"))


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
