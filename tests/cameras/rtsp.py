"""A real RTSP server (GStreamer's, from Debian) whose cameras a test controls.

Starts and ends the script `gstreamer`. A server, stalled or not, does not outlive the thread that
started it.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from pipeline.local.ports import free_ports
from pipeline.local.processes import tethered
from tests.cameras.mounts import Mount

PYTHON = "/usr/bin/python3"  # Debian's, because it has gi; the venv's does not
SCRIPT = Path(__file__).with_name("gstreamer.py")
PATIENCE_S = 30.0


class RtspMissingError(Exception):
    """The server cannot be started here; the text is the server's own."""


class RtspServer:
    """Serves `mounts` from its construction until `close`. Use it as a context manager.

    A `login` (user:password) is required of every viewer. Times in the pictures are those of this
    machine's clock; so are the times in the stream, until `jump` changes a camera's clock.
    """

    def __init__(self, *mounts: Mount, login: str = "") -> None:
        self._mounts, self._login = mounts, login
        [self.port] = free_ports(1)
        self._process = self._started()

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self, path: str, *, login: str = "") -> str:
        return f"rtsp://{login and login + '@'}127.0.0.1:{self.port}/{path}"

    def freeze(self, path: str) -> None:
        """Let the camera repeat the current picture, at its rate and with correct times."""
        self._do("freeze", path)

    def thaw(self, path: str) -> None:
        self._do("thaw", path)

    def mute(self, path: str) -> None:
        """Let the camera send no pictures; connections stay open, and RTCP continues."""
        self._do("mute", path)

    def unmute(self, path: str) -> None:
        self._do("unmute", path)

    def resize(self, path: str, width: int, height: int) -> None:
        """Change the picture size in the running stream; width and height must be even."""
        self._do("resize", path, width, height)

    def jump(self, path: str, seconds: float) -> None:
        """Change the camera's clock by less than a day: RTP times and their RTCP times alike."""
        self._do("jump", path, seconds)

    def lose(self, path: str, every: int) -> None:
        """Drop every n-th RTP packet, with n = `every`; 0: none."""
        self._do("lose", path, every)

    def wait_for(self, path: str, number: int) -> None:
        """Wait until the camera has taken the picture of this number, viewed or not."""
        self._do("wait", path, number)

    def pushed(self, path: str) -> int:
        """Return how many pictures were sent since the start; without a viewer none are sent."""
        return self._do("pushed", path)

    def kill(self) -> None:
        """Kill the server, as a power cut would. Nothing listens until `restart`."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Serve again on the same port, with all cameras in their initial state."""
        self.close()
        self._process = self._started()

    def stall(self) -> None:
        """Stop the process (SIGSTOP): it answers nothing, and its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        mounts = json.dumps([asdict(mount) for mount in self._mounts])
        command = tethered([PYTHON, str(SCRIPT), str(self.port), self._login, mounts])
        with tempfile.TemporaryFile() as words:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, bufsize=0
            )
            self._process = process
            if self._line() == b"serving\n":
                return process
            self.close()
            words.seek(0)
            output = words.read().decode(errors="replace").strip().splitlines()
        raise RtspMissingError(output[-1] if output else "it output nothing")

    def _do(self, verb: str, path: str, *arguments: float) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([verb, path, *arguments]).encode() + b"\n")
        answer = self._line()
        assert answer, f"the RTSP server has ended instead of: {verb} {path}"
        return int(answer)

    def _line(self) -> bytes:
        """Return the next line of its output; empty if the process has ended."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        assert ready, f"the RTSP server has said nothing for {PATIENCE_S:.0f} s"
        return self._process.stdout.readline()


@contextmanager
def serving(*mounts: Mount, login: str = "") -> Iterator[RtspServer]:
    """Serve, or skip the test if GStreamer is missing; if CI is set, fail instead."""
    try:
        server = RtspServer(*mounts, login=login)
    except RtspMissingError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no RTSP server (tests/setup-system.sh installs it): {exc}")
    with server:
        yield server
