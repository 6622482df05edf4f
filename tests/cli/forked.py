"""The command in a process that begins with its modules imported: a second of CPU time less each.

A test of a command waits for it, and half of that was Python reading the same modules again. So
most processes are forked from a server that has read them (`multiprocessing`'s). They are processes
like any other, with their own arguments, environment, folder, signals and exit code. The tests of
what happens before `main` start the console script itself (`commands.SCRIPT`).
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NoReturn

SERVER = get_context("forkserver")
READ = ("pipeline.cli.main", "tests.cli.preloaded")
SERVER.set_forkserver_preload(list(READ))


class Forked:
    """A running command: what tests need of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: Sequence[str],
        out: Path,
        err: Path,
        *,
        environment: Mapping[str, str],
        cwd: Path | None = None,
    ) -> None:
        self.args = ["longtake", *arguments]
        where = Path.cwd() if cwd is None else cwd
        self._process: ForkServerProcess = SERVER.Process(
            target=_run, args=(self.args, out, err, dict(environment), where)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    arguments: list[str], out: Path, err: Path, environment: dict[str, str], cwd: Path
) -> NoReturn:
    """Become the command. Runs in the new process."""
    from pipeline.cli.main import main

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for path, number in ((out, 1), (err, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = arguments
    main()
    raise AssertionError("main returned")
