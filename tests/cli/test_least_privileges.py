"""Every command runs with what the table of privileges says, and needs all of it."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Command, Operation, Privilege, Role
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Longtake, Running, Start, until
from tests.cli.secured_group import SecuredGroup

pytestmark = pytest.mark.kafka

FRAMES = 20  # of the clip
IMPLYING = {Operation.READ, Operation.WRITE}  # allow to DESCRIBE too
RUNS_WITHOUT = {(Command.CAMERA, Operation.DESCRIBE_CONFIGS)}  # but sends what is too large
ENDLESS = {Command.TAIL, Command.WORKER}


def arguments(command: Command, group: SecuredGroup, clip: Path) -> tuple[str | Path, ...]:
    named = ("--config", group.file)
    match command:
        case Command.CAMERA:
            return ("camera", clip, "--stream", "cam-1", "--topic", group.topics.frames)
        case Command.TAIL:
            return ("tail", "--from-start", "--json", *named)
        case Command.REPLAY:
            return ("replay", "--diff", *named)
        case Command.RESET_PARTITION:
            return ("reset", "partition", "0", "--to", "latest", "--yes", *named)
        case Command.RESET_STREAM:
            return ("reset", "stream", "cam-1", *named)
        case Command.TOPICS_CREATE:
            return ("topics", "create", "--partitions", "1", *named)
    return (*command.split(), *named)


def publish(secured: LocalKafka, group: SecuredGroup, folder: Path, clip: Path) -> None:
    """Let a camera publish the clip, and one record that is no picture."""
    kafka = group.of_user(group.needs(Command.CAMERA))
    words = arguments(Command.CAMERA, group, clip)
    camera = Running(folder / "camera.log", *words, "--kafka", kafka)
    assert camera.ended().code == 0, camera.log
    publisher = KafkaPublisher(secured.connection_for(Role.CAMERA), topic=group.topics.frames)
    publisher.publish("cam-1", b"no picture", ())
    publisher.close()


def tailed(group: SecuredGroup, folder: Path, clip: Path, count: int) -> None:
    """Wait until `longtake tail` has shown so many predictions."""
    kafka = group.of_user(group.needs(Command.TAIL))
    words = arguments(Command.TAIL, group, clip)
    tail = Running(folder / "tail.log", *words, "--kafka", kafka)
    until(lambda: tail.log.count('"label"') >= count, f"{count} predictions")
    tail.end(signal.SIGINT)


@pytest.fixture(scope="module")
def worked(
    secured: LocalKafka, tmp_path_factory: pytest.TempPathFactory, tiny: Path, clip: Path
) -> SecuredGroup:
    """A group with a history; each command of it ran with its own privileges and no more."""
    folder = tmp_path_factory.mktemp("worked")
    group = SecuredGroup(secured, folder, tiny)
    create = arguments(Command.TOPICS_CREATE, group, clip)
    operator = group.of_user(group.needs(Command.TOPICS_CREATE))
    created = Running(folder / "create.log", *create, "--kafka", operator)
    assert created.ended().code == 0, created.log
    publish(secured, group, folder, clip)
    kafka = group.of_user(group.needs(Command.WORKER))
    words = (*arguments(Command.WORKER, group, clip), "--kafka", kafka)
    worker = Running(folder / "worker.log", *words).ready()
    tailed(group, folder, clip, FRAMES)
    assert worker.end(signal.SIGTERM)[0] == 0, worker.log
    return group


@pytest.mark.parametrize("command", [command for command in Command if command not in ENDLESS])
def test_a_command_runs_with_what_the_table_says(
    command: Command, worked: SecuredGroup, longtake: Longtake, clip: Path
) -> None:
    kafka = worked.of_user(worked.needs(command))
    ended = longtake(*arguments(command, worked, clip), "--kafka", kafka)
    assert ended.code == 0, ended.err


def test_a_worker_of_low_latency_needs_no_more(
    secured: LocalKafka, tiny: Path, tmp_path: Path, clip: Path, start: Start, longtake: Longtake
) -> None:
    group = SecuredGroup(secured, tmp_path, tiny)
    create = arguments(Command.TOPICS_CREATE, group, clip)
    assert longtake(*create, *group.of_role(Role.OPERATOR)).code == 0
    publish(secured, group, tmp_path, clip)
    kafka = group.of_user(group.needs(Command.WORKER))
    words = arguments(Command.WORKER, group, clip)
    worker = start(*words, "--kafka", kafka, "--delivery", "low_latency").ready()
    tailed(group, tmp_path, clip, FRAMES)
    assert worker.end(signal.SIGTERM)[0] == 0


def every_need() -> Iterator[tuple[Command, int, Operation]]:
    """Each operation that no other operation on its resource implies."""
    for command in Command:
        for index, one in enumerate(needed(command)):
            for operation in sorted(one.operations):
                implied = operation is Operation.DESCRIBE and one.operations & IMPLYING
                if not implied and (command, operation) not in RUNS_WITHOUT:
                    yield command, index, operation


def needed(command: Command) -> Sequence[Privilege]:
    from pipeline.broker.kafka.privileges import privileges
    from pipeline.records import Topics

    return privileges(command, Topics("frames", "predictions", "dead letters", "state"), "group")


def without(group: SecuredGroup, command: Command, index: int, operation: Operation) -> Path:
    granted = list(group.needs(command))
    one = granted[index]
    granted[index] = replace(one, operations=one.operations - {operation})
    return group.of_user(granted)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "index", "operation"), list(every_need()))
def test_a_command_needs_all_that_the_table_says(
    secured: LocalKafka,
    command: Command,
    index: int,
    operation: Operation,
    worked: SecuredGroup,
    longtake: Longtake,
    start: Start,
    tmp_path: Path,
    tiny: Path,
    clip: Path,
) -> None:
    group = worked
    if command is Command.TOPICS_CREATE:  # of topics that are not there yet
        group = SecuredGroup(secured, tmp_path, tiny)
    if command is Command.WORKER:
        publish(secured, group, tmp_path, clip)
    kafka = without(group, command, index, operation)
    words = (*arguments(command, group, clip), "--kafka", kafka)
    ended = start(*words).ended() if command in ENDLESS else longtake(*words)
    assert ended.code != 0
