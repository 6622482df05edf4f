"""docs/cameras.md does what it says: each of its commands is run, with a real camera."""

import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from pipeline.local.ports import free_ports
from tests.cameras.mounts import Mount
from tests.cameras.rtsp import serving
from tests.cli.commands import SCRIPT, environment, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cameras.md").read_text().partition("\n---\n")[0]
LOGIN = "viewer:your password"
KEEPS_RUNNING = "sh keeps running"


class Reader:
    """Somebody who follows the page, on a machine where other ports are free."""

    def __init__(self, folder: Path, camera: int, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._environment = environment()
        broker, worker, cameras, self.prometheus = free_ports(4)
        self._changes = {
            "10.0.0.7:554/stream1": f"127.0.0.1:{camera}/stream1",
            "longtake broker": f"longtake broker --port {broker}",
            "longtake camera": f"longtake camera --metrics-port {cameras}",
            "longtake worker": f"longtake worker --metrics-port {worker}",
            "127.0.0.1:9090": f"127.0.0.1:{self.prometheus}",
        }
        self._environment["LONGTAKE_BOOTSTRAP"] = f"127.0.0.1:{broker}"
        shutil.copytree(ROOT / "deploy" / "prometheus", folder / "deploy" / "prometheus")
        for name, port in (("workers", worker), ("cameras", cameras)):
            file = folder / "deploy" / "prometheus" / "targets" / f"{name}.yml"
            file.write_text(f'- targets: ["127.0.0.1:{port}"]\n')
        self.said: dict[str, Path] = {}  # what each command that goes on has said so far

    def follow(self, kind: str, text: str) -> None:
        """Do what one block of the page asks for."""
        for before, after in self._changes.items():
            text = text.replace(before, after)
        if kind == "toml":
            name = re.match(r"# (\S+)\n", text)
            assert name is not None
            (self._folder / name[1]).write_text(text)
            return
        for line in text.splitlines():
            self._run(shlex.split(line), goes_on=kind == KEEPS_RUNNING)

    def _run(self, words: list[str], *, goes_on: bool) -> None:
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self._environment[name] = value
            return
        name = " ".join(words[:2])
        file = self.said[name] = self._folder / f"{len(self.said)}.log"
        command = [str(SCRIPT), *words[1:]] if words[0] == "longtake" else words
        with file.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, cwd=self._folder, env=self._environment
            )
        if not goes_on:
            assert process.wait(60) == 0, file.read_text()
            return
        self._stack.callback(process.wait)
        self._stack.callback(process.send_signal, signal.SIGTERM)
        self.sees(name, BEGUN.get(name, ""))

    def sees(self, name: str, words: str) -> None:
        until(lambda: words in self.said[name].read_text(), f"{words!r} from {name}")


BEGUN = {  # how somebody sees that it is time for the next command
    "longtake broker": "bootstrap 127.0.0.1",
    "longtake camera": "gate: live, 320 x 240",
    "longtake worker": "restored partitions",
}


@pytest.fixture
def reader(prometheus: str, tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        mount = Mount("stream1", fps=15, gop=30)
        server = stack.enter_context(serving(mount, login=LOGIN))
        yield Reader(tmp_path, server.port, stack)


def test_the_page_leads_from_a_camera_to_a_dashboard(reader: Reader) -> None:
    blocks = re.findall(r"```(\S[^\n]*)\n(.*?)```", PAGE, re.DOTALL)
    assert {kind for kind, _ in blocks} == {"sh", KEEPS_RUNNING, "toml"}
    for kind, text in blocks:
        if "promtool" in text:
            reader.sees("longtake tail", "gate")
            wait_for_scrapes(reader.prometheus)
        reader.follow(kind, text)
    assert "suits actions@" in reader.said["longtake probe"].read_text()
    assert "BROKEN" not in reader.said["longtake tail"].read_text()
    assert reader.said["promtool query"].read_text().strip() == ""  # no alert fires


def wait_for_scrapes(port: int) -> None:
    """Somebody who types needs longer than Prometheus between two looks."""
    for query in ('longtake_camera_state{state="live"} == 1', "longtake_stream_confidence_ratio"):
        command = ["promtool", "query", "instant", f"http://127.0.0.1:{port}", query]
        until(partial(output_of, command), query)


def output_of(command: Sequence[str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=False).stdout
