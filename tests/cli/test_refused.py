"""What the commands end with where a secured Kafka refuses their login, or does not permit it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Command, Operation, Privilege, ResourceKind, Role
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Longtake, Start
from tests.cli.secured_group import SecuredGroup

pytestmark = pytest.mark.kafka


@pytest.fixture
def group(secured: LocalKafka, tmp_path: Path, tiny: Path, longtake: Longtake) -> SecuredGroup:
    made = SecuredGroup(secured, tmp_path, tiny)
    create = ("topics", "create", "--partitions", "1", *made.of_role(Role.OPERATOR))
    assert longtake(*create).code == 0
    return made


def lacking(needs: tuple[Privilege, ...], kind: ResourceKind) -> list[Privilege]:
    """The privileges without the first one of a kind."""
    gone = next(one for one in needs if one.resource_kind is kind)
    return [one for one in needs if one is not gone]


def test_every_command_says_that_the_password_is_wrong_and_not_to_try_again(
    secured: LocalKafka, group: SecuredGroup, start: Start, clip: Path, tmp_path: Path
) -> None:
    good = secured.protection.folder.client_file(Role.WORKER).read_text()
    wrong = tmp_path / "wrong.toml"
    place = next(line for line in good.splitlines() if line.startswith("sasl_password"))
    wrong.write_text(good.replace(place, 'sasl_password = "not this one"'))
    how = ("--kafka", wrong)
    commands = (
        start("worker", *how, "--config", group.file),
        start("camera", clip, "--stream", "cam-1", "--topic", group.topics.frames, *how),
        start("tail", *how, "--config", group.file),
        start("topics", "check", *how, "--config", group.file),
    )
    for ended in [command.ended() for command in commands]:
        assert ended.code == 27
        assert "refuses the login of user worker by SCRAM-SHA-512: wrong password" in ended.err
        assert "not this one" not in ended.err


@pytest.mark.parametrize("command", [Command.WORKER, Command.CAMERA, Command.TAIL, Command.AUDIT])
def test_nothing_is_lacking_for_who_has_what_the_table_says(
    group: SecuredGroup, longtake: Longtake, command: Command
) -> None:
    kafka = group.of_user(group.needs(command))
    check = ("topics", "check", "--as", command, "--json", "--config", group.file)
    ended = longtake(*check, "--kafka", kafka)
    assert (ended.code, [one["lacking"] for one in ended.json["privileges"]].count([])) == (
        0,
        len(group.needs(command)),
    )


@pytest.mark.parametrize("kind", ResourceKind)
def test_what_is_lacking_is_named_with_the_command_that_permits_it(
    group: SecuredGroup, longtake: Longtake, kind: ResourceKind
) -> None:
    needs = group.needs(Command.WORKER)
    gone = next(one for one in needs if one.resource_kind is kind)
    kafka = group.of_user(lacking(needs, kind))
    ended = longtake("topics", "check", "--as", "worker", "--config", group.file, "--kafka", kafka)
    assert ended.code == 28
    wanted = ", ".join(sorted(gone.operations))
    assert f"{wanted} on {kind} {gone.name}{'*' if gone.prefixed else ''}" in ended.complaint
    option = "--" + kind.lower().replace("_", "-")
    assert f"{option} '{gone.name}'" in ended.out


def test_a_probe_of_a_transactional_id_fences_no_worker(
    secured: LocalKafka, group: SecuredGroup, longtake: Longtake, start: Start
) -> None:
    worker = start("worker", *group.of_role(Role.WORKER), "--slot", "topics-check").ready()
    check = ("topics", "check", "--as", "worker", *group.of_role(Role.WORKER), "--json")
    assert longtake(*check).code == 0
    assert worker.get("/readyz")[0] == 200
    assert worker.end(15)[0] == 0


def test_a_write_that_is_not_permitted_names_user_operation_and_topic(
    group: SecuredGroup, longtake: Longtake, clip: Path
) -> None:
    need, _ = group.needs(Command.CAMERA)
    kafka = group.of_user([replace(need, operations=need.operations - {Operation.WRITE})])
    words = ("camera", clip, "--stream", "cam-1", "--topic", group.topics.frames)
    user = json.loads(f"{{{_line(kafka, 'sasl_username')}}}")["sasl_username"]
    ended = longtake(*words, "--kafka", kafka)
    assert ended.code == 28
    assert f"does not permit User:{user} to WRITE topic {group.topics.frames}" in ended.complaint


def test_a_group_that_may_not_be_joined_ends_the_worker_with_the_way_to_see_more(
    group: SecuredGroup, longtake: Longtake
) -> None:
    kafka = group.of_user(lacking(group.needs(Command.WORKER), ResourceKind.GROUP))
    ended = longtake("worker", "--config", group.file, "--kafka", kafka)
    assert ended.code == 28
    assert f"to READ the group {group.name}" in ended.complaint
    assert "`longtake topics check --as 'worker'` lists what is not permitted" in ended.complaint


def test_pictures_whose_frames_may_not_be_read_name_the_command_with_its_option(
    group: SecuredGroup, longtake: Longtake, tmp_path: Path
) -> None:
    kafka = group.of_user(group.needs(Command.TAIL))
    ended = longtake("tail", "--config", group.file, "--kafka", kafka, "--pictures", tmp_path / "p")
    assert ended.code == 28
    assert f"topic {group.topics.frames}" in ended.complaint
    assert "`longtake topics check --as 'tail --pictures'` lists what" in ended.complaint


def _line(file: Path, setting: str) -> str:
    """One setting of a file, as a member of a JSON object."""
    line = next(one for one in file.read_text().splitlines() if one.startswith(setting))
    name, _, value = line.partition(" = ")
    return f'"{name}": {value}'
