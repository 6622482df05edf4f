"""Every command runs with what the table of privileges says, and needs all of it."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import (
    Command,
    Operation,
    Privilege,
    Resource,
    Role,
    privileges,
)
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics
from pipeline.wire.belongings.ownership import OWNERS
from tests.cli.commands import Longtake, Running, Start, until
from tests.cli.secured_group import SecuredGroup
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka

FRAMES = 20
NOTHING_SENT = "cam-1: 0 frames sent"  # the camera ends with 0 all the same
IMPLYING = {Operation.READ, Operation.WRITE, Operation.ALTER}  # allow to DESCRIBE too
OUTPUTS = {Resource.PREDICTIONS, Resource.DEAD_LETTERS}
SEES_LESS = {Command.CAMERA, Command.TOPICS_CHECK}  # without DESCRIBE_CONFIGS, but runs
ENDLESS = {Command.TAIL, Command.TAIL_PICTURES, Command.TAIL_CAMERAS, Command.WORKER}


def arguments(command: Command, group: SecuredGroup, clip: Path) -> tuple[str | Path, ...]:
    named = ("--config", group.file)
    match command:
        case Command.CAMERA:
            return ("camera", clip, "--stream", "cam-1", "--topic", group.topics.frames)
        case Command.TAIL:
            return ("tail", "--from-start", "--json", *named)
        case Command.TAIL_PICTURES:
            folder = clip.with_name(f"pictures of {group.topics.frames}")
            return ("tail", "--from-start", "--json", "--pictures", folder, *named)
        case Command.TAIL_CAMERAS:
            return ("tail", "--cameras", "--json", *named)
        case Command.REPLAY:
            return ("replay", "--diff", *named)
        case Command.RESET_PARTITION:
            return ("reset", "partition", "0", "--to", "latest", "--yes", *named)
        case Command.RESET_STREAM:
            return ("reset", "stream", "cam-1", *named)
        case Command.TOPICS_CREATE:
            return ("topics", "create", "--partitions", "1", *named)
        case Command.TOPICS_TAKE:
            return ("topics", "take", "--yes", *named)
        case Command.TOPICS_GROW:
            return ("topics", "grow", "--partitions", "2", "--metadata-age", "1s", *named)
    return (*command.split(), *named)


def publish(secured: LocalKafka, group: SecuredGroup) -> None:
    """Publish pictures as a camera, and one record that is no picture."""
    publisher = KafkaPublisher(secured.connection_for(Role.CAMERA), topic=group.topics.frames)
    for content in [*(jpeg(16, 16, seed=n) for n in range(FRAMES)), b"no picture"]:
        publisher.publish("cam-1", content, ())
    publisher.close()
    assert publisher.lost == 0


def tailed(
    group: SecuredGroup, folder: Path, clip: Path, count: int, command: Command = Command.TAIL
) -> None:
    """Wait until `longtake tail` has shown so many predictions."""
    kafka = group.of_user(group.needs(command))
    words = arguments(command, group, clip)
    tail = Running(folder / f"{command}.log", *words, "--kafka", kafka)
    until(lambda: tail.log.count('"label"') >= count, f"{count} predictions")
    assert "no picture" not in tail.log
    tail.end(signal.SIGINT)


@pytest.fixture(scope="module")
def worked(
    secured: LocalKafka, tmp_path_factory: pytest.TempPathFactory, tiny: Path, clip: Path
) -> SecuredGroup:
    """A group with a history; each command of it ran with its own privileges and no more."""
    return at_work(secured, tmp_path_factory.mktemp("worked"), tiny, clip)


def at_work(secured: LocalKafka, folder: Path, tiny: Path, clip: Path) -> SecuredGroup:
    group = SecuredGroup(secured, folder, tiny)
    create = arguments(Command.TOPICS_CREATE, group, clip)
    operator = group.of_user(group.needs(Command.TOPICS_CREATE))
    created = Running(folder / "create.log", *create, "--kafka", operator)
    assert created.ended().code == 0, created.log
    publish(secured, group)
    kafka = group.of_user(group.needs(Command.WORKER))
    words = (*arguments(Command.WORKER, group, clip), "--kafka", kafka)
    worker = Running(folder / "worker.log", *words).ready()
    tailed(group, folder, clip, FRAMES)
    tailed(group, folder, clip, FRAMES, Command.TAIL_PICTURES)
    assert worker.end(signal.SIGTERM)[0] == 0, worker.log
    return group


@pytest.mark.parametrize(
    "command", [one for one in Command if one not in {*ENDLESS, Command.TOPICS_GROW}]
)
def test_a_command_runs_with_what_the_table_says(
    command: Command, worked: SecuredGroup, longtake: Longtake, clip: Path
) -> None:
    kafka = worked.of_user(worked.needs(command))
    ended = longtake(*arguments(command, worked, clip), "--kafka", kafka)
    assert ended.code == 0, ended.err
    assert NOTHING_SENT not in ended.err


@pytest.mark.slow
def test_a_group_grows_with_what_the_table_says(
    secured: LocalKafka, tmp_path: Path, tiny: Path, clip: Path, longtake: Longtake
) -> None:
    group = at_work(secured, tmp_path, tiny, clip)
    kafka = group.of_user(group.needs(Command.TOPICS_GROW))
    ended = longtake(*arguments(Command.TOPICS_GROW, group, clip), "--kafka", kafka)
    assert ended.code == 0, ended.err


def test_a_worker_of_low_latency_needs_no_more(
    secured: LocalKafka, tiny: Path, tmp_path: Path, clip: Path, start: Start, longtake: Longtake
) -> None:
    group = SecuredGroup(secured, tmp_path, tiny)
    create = arguments(Command.TOPICS_CREATE, group, clip)
    assert longtake(*create, *group.of_role(Role.OPERATOR)).code == 0
    publish(secured, group)
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
                optional = operation is Operation.DESCRIBE_CONFIGS and command in SEES_LESS
                # frames go on: see test_camera_states
                optional |= command is Command.CAMERA and one.name == Resource.CAMERAS
                # work goes on without knowing whose the topics are: see test_two_groups
                optional |= command is not Command.TOPICS_TAKE and of_claims(one, operation)
                if not implied and not optional:
                    yield command, index, operation


def of_claims(one: Privilege, operation: Operation) -> bool:
    """Return whether an operation serves only to know to which group the outputs belong."""
    reads_output = operation is Operation.READ and Operation.WRITE in one.operations
    return one.name == OWNERS or (reads_output and one.name in OUTPUTS)


def needed(command: Command) -> Sequence[Privilege]:
    return privileges(command, Topics("frames", "predictions", "dead letters", "state"), "group")


def without(group: SecuredGroup, command: Command, index: int, operation: Operation) -> Path:
    granted = list(group.needs(command))
    one = granted[index]
    granted[index] = replace(one, operations=one.operations - {operation})
    return group.of_user(granted)


@pytest.fixture
def fails(longtake: Longtake, start: Start) -> Callable[..., bool]:
    """Run a command that lacks a privilege; whether it ends with an error, or does no work."""

    def run(command: Command, *words: str | Path) -> bool:
        ended = start(*words).ended() if command in ENDLESS else longtake(*words)
        return ended.code != 0 or NOTHING_SENT in ended.err

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("command", "index", "operation"), list(every_need()))
def test_a_command_needs_all_that_the_table_says(
    secured: LocalKafka,
    command: Command,
    index: int,
    operation: Operation,
    worked: SecuredGroup,
    fails: Callable[..., bool],
    tmp_path: Path,
    tiny: Path,
    clip: Path,
) -> None:
    group = worked
    if command is Command.TOPICS_CREATE:  # of topics that are not there yet
        group = SecuredGroup(secured, tmp_path, tiny)
    if command is Command.WORKER:
        publish(secured, group)
    kafka = without(group, command, index, operation)
    assert fails(command, *arguments(command, group, clip), "--kafka", kafka)
