"""Watches a command with strace: which addresses it and its children reach, and what they write.

strace sees system calls, so it sees C and C++ libraries and child processes as well as Python. The
lookup of a name shows as the address of the name server, or as the socket of a local resolver.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cli.commands import PATIENCE_S, environment, until

CALLS = (
    *("connect", "sendto", "sendmsg", "sendmmsg", "bind"),
    *("open", "openat", "openat2", "creat", "mkdir", "mkdirat", "mknod", "mknodat", "truncate"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
)
STRACE = (
    "strace",
    "--follow-forks",
    "--seccomp-bpf",
    "-y",
    "-s",
    "512",
    "-e",
    ",".join(CALLS),
)
CACHE = ".cache/longtake/"
UNWANTED = {"CI", "LONGTAKE_CACHE", "ORT_DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_OFFLINE"}
CALL = re.compile(r"^\d+ +(\w+)\((.*)", re.MULTILINE)
INET = re.compile(r'sin6?_port=htons\((\d+)\).*?inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"')
UNIX = re.compile(r'sun_path=@?"([^"]+)"')
ABSENT = "= -1 ENOENT (No such file or directory)"  # a local socket that does not exist
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a command did: addresses as `host:port` or the path of a local socket; paths below its
    home folder, relative to it."""

    reached: frozenset[str]
    bound: frozenset[str]
    written: frozenset[str]

    def report(self, what: str) -> str:
        """Describe it in one line for people."""
        parts = (("reached", self.reached), ("listened on", self.bound), ("wrote", self.written))
        listed = "; ".join(f"{verb} {', '.join(sorted(all_)) or 'nothing'}" for verb, all_ in parts)
        return f"{what}: {listed}"


def parse(log: str, *, home: Path, cwd: Path) -> Seen:
    """Read the log of strace."""
    reached, bound, written = set[str](), set[str](), set[str]()
    for call, arguments in CALL.findall(log):
        if call in {"connect", "sendto", "sendmsg", "sendmmsg", "bind"}:
            found = {f"{host}:{port}" for port, host in INET.findall(arguments)}
            found |= set() if arguments.endswith(ABSENT) else set(UNIX.findall(arguments))
            (bound if call == "bind" else reached).update(found)
        elif not call.startswith("open") or WRITING.search(arguments):
            paths = {Path(folder or cwd) / path for folder, path in PATH.findall(arguments)}
            written |= {str(one.relative_to(home)) for one in paths if one.is_relative_to(home)}
    return Seen(frozenset(reached), frozenset(bound), frozenset(written))


def outside_the_cache(seen: Seen) -> set[str]:
    """Return what was written into the home folder, without our documented cache."""
    return {one for one in seen.written if one != ".cache" and not f"{one}/".startswith(CACHE)}


def assert_private(what: str, seen: Seen, *, told: set[str]) -> None:
    print(seen.report(what))  # noqa: T201  # for `make evidence`
    assert seen.reached <= told
    assert outside_the_cache(seen) == set()
    assert [address for address in seen.bound if not address.startswith("127.0.0.1:")] == []


def why_strace_cannot() -> str | None:
    """Return why strace cannot watch a process here, or None if it can."""
    try:
        ended = subprocess.run([*STRACE, "-o", "/dev/null", sys.executable, "-c", ""], check=False)
    except OSError as exc:
        return f"strace cannot be started: {exc.strerror}"
    return f"strace ends with exit code {ended.returncode}" if ended.returncode else None


class Watched:
    """A command in a home folder of its own, started and watched."""

    def __init__(self, folder: Path, *command: str | Path) -> None:
        self.folder, self._home, self._log = folder, folder / "home", folder / "strace"
        self._home.mkdir(parents=True)
        kept = {
            name: value
            for name, value in environment().items()
            if name not in UNWANTED and not name.startswith("XDG_")
        }
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [*STRACE, "-o", self._log, *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=kept | {"HOME": str(self._home)},
            )

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text("utf-8")

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for words in its output."""
        return until(lambda: re.search(pattern, self.output), f"{pattern!r} in the output")

    def send(self, number: int) -> None:
        """Send a signal to the command itself, which is the first process of the log."""
        first = until(lambda: re.match(r"\d+", self._logged()), "the first line of strace's log")
        os.kill(int(first[0]), number)

    def seen(self, *, patience_s: float = PATIENCE_S) -> Seen:
        """Wait for its end, and that of every process that it started; it must succeed."""
        assert self.process.wait(patience_s) == 0, self.output  # strace has the command's code
        return parse(self._logged(), home=self._home, cwd=self.folder)

    def _logged(self) -> str:
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""


def python(code: str, *arguments: str | Path) -> Sequence[str | Path]:
    """Return the command that runs code in the Python of these tests."""
    return (sys.executable, "-c", code, *arguments)


Watch = Callable[..., Watched]
