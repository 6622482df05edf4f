"""docs/kafka-security.md: its tables are the code's, its settings are read, its steps work."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from pipeline.broker.kafka.privileges import (
    NEEDS,
    Command,
    Needs,
    Operation,
    Privilege,
    Resource,
    ResourceKind,
    Role,
    privileges,
)
from pipeline.config import WorkerConfig, load_config
from tests.cli.commands import until
from tests.docs.pages import Block, Page
from tests.docs.reader import Reader, at_home

PAGE = Page.read("docs/kafka-security.md")
COLUMNS = (
    Resource.FRAMES,
    Resource.PREDICTIONS,
    Resource.EVENTS,
    Resource.DEAD_LETTERS,
    Resource.STATE,
    Resource.CAMERAS,
    Resource.GROUP,
    Resource.OWNERS,
)
TRANSACTIONS = {
    "`GROUP.` prefixed": Resource.WORKERS_TRANSACTIONS,
    "`GROUP.reset`": Resource.RESETS_TRANSACTION,
    "`longtake/owners`": Resource.OWNERS_TRANSACTION,
}
OF_STRIMZI = {
    "topic": ResourceKind.TOPIC,
    "group": ResourceKind.GROUP,
    "transactionalId": ResourceKind.TRANSACTIONAL_ID,
}


def of_kind(kind: str) -> list[str]:
    return [block.text for block in PAGE.blocks if block.kind == kind]


def operations(cell: str) -> frozenset[Operation]:
    return frozenset(Operation(word) for word in cell.split(", "))


def of_strimzi(name: str) -> Operation:
    """Its DescribeConfigs is our DESCRIBE_CONFIGS."""
    return Operation(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper())


def needs(cells: list[str]) -> Needs:
    """The privileges of a row of the table."""
    *plain, transactions = cells
    found = {r: operations(cell) for r, cell in zip(COLUMNS, plain, strict=True) if cell}
    for one in transactions.split("; ") if transactions else ():
        name, _, words = one.partition(": ")
        found[TRANSACTIONS[name]] = operations(words)
    return found


def test_the_table_of_privileges_is_that_of_the_code() -> None:
    rows = PAGE.rows("Least privileges by command")
    assert {Command(row[0].strip("`")): needs(row[1:]) for row in rows} == NEEDS


def test_the_table_of_roles_is_that_of_the_code() -> None:
    rows = PAGE.rows("The roles")
    told = {role.strip("`"): cell.replace("`", "").split(", ") for role, cell in rows}
    assert told == {role: [f"longtake {command}" for command in role.commands] for role in Role}


@pytest.mark.parametrize("text", of_kind("yaml"))
def test_a_user_of_strimzi_has_the_privileges_of_its_command(text: str) -> None:
    user = yaml.safe_load(text)
    told = [
        Privilege(
            OF_STRIMZI[acl["resource"]["type"]],
            acl["resource"]["name"],
            acl["resource"]["patternType"] == "prefix",
            frozenset(map(of_strimzi, acl["operations"])),
        )
        for acl in user["spec"]["authorization"]["acls"]
    ]
    topics = WorkerConfig(group="actions").topics
    assert told == list(privileges(Command(user["metadata"]["name"]), topics, "actions"))


@pytest.mark.parametrize("text", of_kind("toml"))
def test_every_file_for_kafka_is_one(text: str, tmp_path: Path) -> None:
    file = tmp_path / "kafka.toml"
    file.write_text(text)
    assert load_config(None, {"kafka": file}).security_protocol.has_tls


@pytest.mark.kafka
def test_its_steps_lead_to_predictions_and_no_break(tmp_path: Path) -> None:
    at_home(tmp_path)
    (steps,) = (text for text in of_kind("sh") if "broker --data" in text)
    *first, audit = steps.splitlines()
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack, {})
        reader.follow(Block("sh", "\n".join(first)))
        reader.sees("longtake tail", "gate")
        reader.follow(Block("sh", audit))
        assert "no break" in until(lambda: reader.said["longtake audit"].read_text(), "a verdict")
