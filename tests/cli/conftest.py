"""Fixtures for tests of the command line."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import (
    PATIENCE_S,
    Ended,
    Group,
    Longtake,
    Running,
    Start,
    environment,
)
from tests.cli.forked import Forked
from tests.cli.watched import Watch, Watched, why_strace_cannot
from tests.clusters import KafkaCluster
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import write_video


@pytest.fixture
def longtake(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Longtake:
    """Run a command to its end. `out`: where its output goes instead, such as a full device."""
    kept = tmp_path_factory.mktemp("kept")

    def run(*arguments: str | Path, out: Path | None = None, **extra: str) -> Ended:
        files = (out or kept / "out", kept / "err")
        for file in files:
            if out != file:
                file.write_bytes(b"")
        words = [*map(str, arguments)]
        command = Forked(words, *files, environment=environment(**extra), cwd=tmp_path)
        try:
            code = command.wait(PATIENCE_S)
        finally:
            command.kill()
        text = "" if out else files[0].read_text("utf-8")
        return Ended(code, text, files[1].read_text("utf-8"))

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command; what still runs when the test is over is killed."""
    started: list[Running] = []

    def run(*arguments: str | Path) -> Running:
        started.append(Running(tmp_path / f"{len(started)}.log", *arguments))
        return started[-1]

    yield run
    for running in started:
        with suppress(ProcessLookupError):
            running.process.kill()
        running.process.wait()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Start a command that strace watches; what still runs when the test is over is killed."""
    if why := why_strace_cannot():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    started: list[Watched] = []

    def run(*command: str | Path) -> Watched:
        started.append(Watched(tmp_path / f"watched-{len(started)}", *command))
        return started[-1]

    yield run
    for watched in started:
        if watched.process.poll() is None:
            watched.send(signal.SIGKILL)
        watched.process.wait()


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that costs nothing."""
    return write_tiny(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of one second."""
    times_ms = [50 * n for n in range(20)]
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", times_ms)


@pytest.fixture
def group(kafka: LocalKafka, tmp_path: Path, tiny: Path) -> Iterator[Group]:
    cluster = KafkaCluster(kafka.connection, 2)
    yield Group(cluster, tmp_path, tiny)
    cluster.close()
