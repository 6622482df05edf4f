"""The workers of a run, and the supervisor that restarts dead ones."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]  # where `-m tests.chaos.worker` is found
EXPECTED = {
    0,
    -signal.SIGKILL,
    -signal.SIGTERM,
}  # the last: SIGTERM came before its handler was set
FENCED = 14  # another process has our slot: how a frozen twin must exit when it wakes up


@dataclass(slots=True)
class Post:
    """One worker's place: its present process, and whether it should have one."""

    name: str
    address: str
    static: bool
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    frozen: bool = False
    due_s: float = 0.0  # when to start its next process

    @property
    def alive(self) -> bool:
        """Whether its process lives, frozen or not."""
        return self.process is not None and self.process.poll() is None


class Crew:
    """Worker processes of one group. Owner: the thread that carries out the schedule.

    `options` are those of `longtake worker`; `folder` takes logs, arms and hits.
    """

    def __init__(self, folder: Path, options: list[str], *, rng: random.Random) -> None:
        self.folder = folder
        self.posts: dict[str, Post] = {}
        self.exits: list[tuple[str, int]] = []  # deaths that no fault caused
        self.twins: list[subprocess.Popen[bytes]] = []  # frozen, with a new process at their post
        self._options, self._rng = options, rng
        self._hits: list[dict[str, Any]] = []
        self._hits_end = 0  # of what was read, in bytes
        signal.signal(
            signal.SIGUSR1, signal.SIG_IGN
        )  # inherited, until a worker has set its handler

    def hire(self, name: str, *, static: bool) -> Post:
        """Add a post, and start its first process."""
        post = Post(name, f"127.0.0.{10 + len(self.posts)}", static)
        self.posts[name] = post
        self.launch(post)
        return post

    def launch(self, post: Post) -> None:
        """Start a process at a post."""
        command = [
            *(sys.executable, "-m", "tests.chaos.worker", str(self.folder), post.name),
            *(post.address, "worker", *self._options),
            *(("--slot", post.name) if post.static else ()),
        ]
        with (self.folder / f"{post.name}.log").open("ab") as log:
            post.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        post.frozen = False

    def tend(self) -> None:
        """Restart dead processes, each a moment after its death."""
        for post in self.posts.values():
            process = post.process
            if process is not None and (code := process.poll()) is not None:
                if code not in EXPECTED:
                    self.exits.append((post.name, code))
                post.process = None
                post.due_s = time.monotonic() + self._rng.uniform(0.0, 0.3 if post.static else 2.0)
            elif process is None and post.wanted and time.monotonic() >= post.due_s:
                self.launch(post)
        for twin in [twin for twin in self.twins if twin.poll() is not None]:
            self.twins.remove(twin)
            if twin.returncode not in {*EXPECTED, FENCED}:
                self.exits.append(("twin", int(twin.returncode)))

    def signal(self, post: Post, number: signal.Signals) -> None:
        """Send a signal to a post's process; after SIGTERM it is not restarted."""
        if post.process is None:
            return
        post.process.send_signal(number)
        post.frozen = number == signal.SIGSTOP
        if number == signal.SIGTERM:
            post.wanted = False

    def replace(self, post: Post) -> subprocess.Popen[bytes] | None:
        """Freeze a post's process and start another one there. Returns the frozen one."""
        if post.process is None:
            return None
        twin = post.process
        twin.send_signal(signal.SIGSTOP)
        self.launch(post)
        return twin

    def arm(self, name: str, order: str) -> None:
        """Write an arm file: `kill`, `stop` or `lose STEP` for a post, or for `any`."""
        draft = self.folder / f"{name}.new"
        draft.write_text(order)
        draft.rename(self.folder / f"{name}.arm")

    def armed(self, name: str) -> bool:
        """Return whether an arm file of this name is still unclaimed."""
        return (self.folder / f"{name}.arm").exists()

    def disarm(self) -> None:
        """Remove the unclaimed arm files."""
        for arm in self.folder.glob("*.arm"):
            arm.unlink(missing_ok=True)

    def hits(self) -> list[dict[str, Any]]:
        """Return what the workers' traps have written so far. It reads only what is new."""
        file = self.folder / "hits.jsonl"
        if file.exists():
            with file.open("rb") as log:
                log.seek(self._hits_end)
                whole, newline, _ = log.read().rpartition(b"\n")
            self._hits_end += len(whole) + len(newline)
            self._hits += map(json.loads, whole.splitlines())
        return self._hits

    def wake(self) -> None:
        """End every freeze."""
        for process in [post.process for post in self.posts.values()] + self.twins:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
        for post in self.posts.values():
            post.frozen = False

    def close(self) -> None:
        """End all processes."""
        for process in [post.process for post in self.posts.values()] + self.twins:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def log_lines(self) -> list[str]:
        """Return all lines of the workers' logs."""
        return [
            line
            for post in self.posts.values()
            for line in (self.folder / f"{post.name}.log").read_text(errors="replace").splitlines()
        ]
