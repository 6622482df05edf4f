"""How a signal ends a command that runs until it is stopped, or that still starts."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.shared.signals import until_signalled
from tests.cli.commands import PATIENCE_S, SCRIPT, environment, until


@pytest.fixture
def _signals() -> Iterator[None]:
    """Ignore signals that nobody handles, and give the handlers back afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_a_second_one_kills_as_usual(number: signal.Signals) -> None:
    stopped: list[Any] = []
    until_signalled(lambda: stopped.append(number))
    signal.raise_signal(number)
    assert stopped == [number]
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.fixture
def own_processes() -> tuple[str, ...]:
    """Return the words that run a command as process 1, as a container does; or skip."""
    words = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    if shutil.which(words[0]) is None:
        pytest.skip("no unshare on this machine")
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine permits no new namespace of processes")
    return words


def test_a_container_that_is_stopped_while_it_starts_ends_at_once(
    own_processes: tuple[str, ...], tmp_path: Path
) -> None:
    worker = [str(SCRIPT), "worker", "--engine", "tensorrt", "--metrics-port", "0"]
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen([*own_processes, *worker], stderr=file, env=environment())
    try:
        until(lambda: "/healthz says so for 30 s" in log.read_text(), "a worker that waits")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    finally:
        process.kill()
