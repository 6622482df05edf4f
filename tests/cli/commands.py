"""The console script as a user runs it: a process of its own, its words and its exit code."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.records import Record
from tests.cli.forked import Forked
from tests.clusters import KafkaCluster

T = TypeVar("T")

SCRIPT = Path(sys.executable).with_name("longtake")
PATIENCE_S = 45.0


def environment(**extra: str) -> dict[str, str]:
    """Ours, without what a developer or a CI has set for the command or its colours."""
    colours = {"FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"}
    kept = {k: v for k, v in os.environ.items() if k[:9] != "LONGTAKE_" and k not in colours}
    return kept | {"NO_COLOR": "1", "COLUMNS": "200"} | extra


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """Its last words: one line, and nothing that looks like a crash."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if "longtake: " in line]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0]
        return lines[0].removeprefix("longtake: ")

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Every line of its output, as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A command that goes on until it is told to end. Not `forked`: Python starts with `extra`."""

    def __init__(
        self, log: Path, *arguments: str | Path, forked: bool = True, **extra: str
    ) -> None:
        self._log = log
        words, variables = [*map(str, arguments)], environment(**extra)
        log.write_bytes(b"")
        self.process: Forked | subprocess.Popen[bytes]
        if forked:
            self.process = Forked(words, log, log, environment=variables)
        else:
            with log.open("wb") as file:
                self.process = subprocess.Popen(
                    [SCRIPT, *words], stdout=file, stderr=file, env=variables
                )

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    def ended(self) -> Ended:
        """Wait until it ends by itself."""
        return Ended(self.process.wait(PATIENCE_S), "", self.log)

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for words in its log."""
        return until(lambda: re.search(pattern, self.log), f"{pattern!r} in the log")

    def get(self, path: str) -> tuple[int, str]:
        """Ask its web server."""
        address = self.says(r"metrics on http://([^ ]+)/metrics")[1]
        with closing(HTTPConnection(address, timeout=5)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metric(self, sample: str) -> float:
        """One sample of /metrics, by its name and its labels, of which `group` is left out."""
        text = re.sub(r'(?<=[{,])group="[^"]*",?', "", self.get("/metrics")[1])
        text = text.replace(",}", "}").replace("{}", "")
        found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def ready(self) -> "Running":
        until(lambda: self.get("/readyz")[0] == 200, "a worker that is ready")
        return self

    def end(self, number: int) -> tuple[int, float]:
        """Send a signal; the exit code, and how long it took."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S), time.monotonic() - began_s


class Group:
    """A group with topics of its own, and the configuration file that names them."""

    def __init__(self, cluster: KafkaCluster, folder: Path, bundle: Path | str) -> None:
        self.cluster, self.topics = cluster, cluster.topics
        self.file = write_settings(folder / "group.toml", cluster, bundle=str(bundle))

    def flowing(self, topic: str, count: int) -> None:
        """Wait for so many records of a topic that goes on growing."""
        reader = TopicTail(self.cluster.config.connection, topic=topic, from_start=True)
        found: list[Record] = []

        def enough() -> bool:
            found.extend(reader.read(0.1))
            return len(found) >= count

        until(enough, f"{count} records of {topic}")
        reader.close()

    def predictions(self, count: int) -> list[Record]:
        """Wait until so many can be read, as a reader of committed records does."""
        return self._records(self.topics.predictions, count)

    def dead_letters(self, count: int) -> list[Record]:
        return self._records(self.topics.dead_letters, count)

    def frames(self, count: int) -> list[Record]:
        return self._records(self.topics.frames, count)

    def _records(self, topic: str, count: int) -> list[Record]:
        found: list[Record] = []

        def enough() -> bool:
            found[:] = self.cluster.committed(topic)
            return len(found) >= count

        until(enough, f"{count} records of {topic}")
        assert len(found) == count
        return found


def write_settings(path: Path, cluster: KafkaCluster, **more: object) -> Path:
    """Write the settings of a worker; one that is None in `more` is left out."""
    config = cluster.config
    topics = ("frames_topic", "predictions_topic", "dead_letters_topic", "cameras_topic")
    names = ("bootstrap", "group", *topics)
    settings = {name: getattr(config, name) for name in names}
    settings |= {"start": "earliest", "metrics_port": 0} | more
    path.write_text(
        "".join(f"{name} = {json.dumps(v)}\n" for name, v in settings.items() if v is not None)
    )
    return path


def until(look: Callable[[], T | None], what: str) -> T:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s for {what}")


Longtake = Callable[..., Ended]
Start = Callable[..., Running]
