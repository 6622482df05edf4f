"""Passwords and keys of a secured local Kafka are where they belong, and nowhere else."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Role
from pipeline.local.cluster import LocalKafka

OTHERS = 0o077


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def words(secured: LocalKafka) -> set[bytes]:
    """Every password, and a line of every private key."""
    folder = secured.protection.folder
    keys = [*folder.path.glob("*.pem"), *(folder.path / "cluster").glob("*.pem")]
    lines = {key.read_bytes().splitlines()[1] for key in keys if b"PRIVATE" in key.read_bytes()}
    return lines | {folder.password(role).encode() for role in Role}


@pytest.mark.kafka
def test_nobody_else_can_use_a_file_of_the_users(secured: LocalKafka) -> None:
    folder = secured.protection.folder.path
    wide = [p for p in (folder, *folder.rglob("*")) if stat.S_IMODE(p.stat().st_mode) & OTHERS]
    assert wide == []


@pytest.mark.kafka
def test_what_a_broker_was_given_is_for_its_owner_alone(
    secured: LocalKafka, words: set[bytes]
) -> None:
    holding = [
        path
        for path in files_below(secured.logs[1].parent)
        if any(word in path.read_bytes() for word in words)
    ]
    assert {path.name for path in holding} == {"server.properties", "broker.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}


@pytest.mark.kafka
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_no_process_was_started_with_a_secret(secured: LocalKafka, words: set[bytes]) -> None:
    assert secured.pids
    for command in commands():
        assert not [word for word in words if word in command]


def commands() -> Iterator[bytes]:
    """The command line and the environment of every process that we may look at."""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                yield (process / name).read_bytes()
            except OSError:  # it has ended, or is another user's
                continue
