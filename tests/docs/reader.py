"""Runs a page's commands in their order, on free ports and in a new folder, as a reader would."""

import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from pipeline.local.ports import free_ports
from tests.cli.commands import SCRIPT, environment, until
from tests.docs.pages import ROOT, Block

PATIENCE_S = 90
GOES_ON = {  # runs until it is ended -> how a reader sees that the next command may follow
    "longtake broker": "bootstrap 127.0.0.1",
    "longtake camera": "gate: live, ",
    "longtake worker": "restored partitions",
    "longtake tail": "",
    "longtake live": "live page on",
    "prometheus": "",
}
NOT_RUN = ("make", "git", "pip")  # they change the checkout, or the machine
NOT_RUN_OPTIONS = ("--install-completion",)


class Reader:
    """Follows pages on a machine where other ports are free. `changes`: text -> what stands for it.

    What goes on is ended, the newest first, when `stack` is closed.
    """

    def __init__(self, folder: Path, stack: ExitStack, changes: Mapping[str, str]) -> None:
        self._folder, self._stack = folder, stack
        self._environment = environment()
        broker, self.worker, self.cameras = free_ports(3)
        self._changes = {
            "127.0.0.1:9092": f"127.0.0.1:{broker}",
            "longtake broker": f"longtake broker --port {broker}",
            "longtake camera": f"longtake camera --metrics-port {self.cameras}",
            "longtake worker": f"longtake worker --metrics-port {self.worker}",
            "longtake live": "longtake live --port 0",
            **changes,
        }
        self._environment["LONGTAKE_BOOTSTRAP"] = f"127.0.0.1:{broker}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.said: dict[str, Path] = {}  # what the newest command of each name has said so far

    def follow(self, block: Block) -> None:
        """Do what one block of a page asks for. Blocks in other languages are for reading."""
        text = block.text
        for before, after in self._changes.items():
            text = text.replace(before, after)
        name = re.match(r"# (\S+\.toml)\n", text)
        if block.kind == "toml" and name is not None:
            (self._folder / name[1]).write_text(text)
        if block.kind == "sh":
            for words in Block(block.kind, text).lines():
                self._run(words)

    def sees(self, name: str, words: str) -> None:
        """Wait for words of a command that goes on."""
        until(lambda: words in self.said[name].read_text(), f"{words!r} from {name}")

    def kill(self, name: str) -> None:
        """SIGKILL a command that goes on."""
        self._running[name].kill()
        self._running[name].wait()

    def _run(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        if not words or words[0] in NOT_RUN or words[-1] in NOT_RUN_OPTIONS:
            return
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self._environment[name] = value
            return
        name = " ".join(words[:2]) if words[0] == "longtake" else words[0]
        self._start(name, line)
        if name in GOES_ON:
            self.sees(name, GOES_ON[name])
        else:
            code = self._running[name].wait(PATIENCE_S)
            assert code == 0, f"{line}: {self.said[name].read_text()}"

    def _start(self, name: str, line: str) -> None:
        """Start a command line as a shell does, in which `longtake` is ours."""
        ours = re.sub(r"^longtake ", f"{shlex.quote(str(SCRIPT))} ", line)
        file = self.said[name] = self._folder / f"{len(list(self._folder.glob('*.log')))}.log"
        bash = shutil.which("bash") or "sh"
        with file.open("wb") as out:
            process = subprocess.Popen(
                [bash, "-c", f"exec {ours}" if name in GOES_ON else ours],
                stdout=out,
                stderr=out,
                cwd=self._folder,
                env=self._environment,
            )
        self._running[name] = process
        self._stack.callback(process.wait)
        self._stack.callback(process.send_signal, signal.SIGTERM)


def at_home(folder: Path) -> None:
    """Let a folder look like a clone, as far as the pages' commands read it."""
    (folder / "pipeline").mkdir()
    (folder / "pipeline" / "samples").symlink_to(ROOT / "pipeline" / "samples")
    shutil.copytree(ROOT / "deploy" / "prometheus", folder / "deploy" / "prometheus")
