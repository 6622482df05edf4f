"""A real Prometheus with our rules, sped up: minutes become seconds."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.local.ports import free_ports
from tests.cli.commands import until
from tests.deploy.expressions import PROMETHEUS, VARIABLES

WINDOW = "6s"


def hurried(text: str) -> str:
    """Return a configuration with 1 s intervals, windows of some seconds, and short durations.

    A variable of the dashboard has the value that Grafana gives it for "All".
    """
    text = text.replace("[$__range]", "[1h]")
    text = re.sub("|".join(rf"\${re.escape(name)}\b" for name in VARIABLES), ".*", text)
    text = re.sub(r"\[(\d+[sm]|\$__rate_interval)\]", f"[{WINDOW}]", text)
    text = re.sub(r"offset \d+m", f"offset {WINDOW}", text)
    text = re.sub(r"^( +for:) \w+$", r"\1 1s", text, flags=re.MULTILINE)
    return re.sub(r"(_interval:) \w+$", r"\1 1s", text, flags=re.MULTILINE)


class Prometheus:
    """One Prometheus on loopback, queried through its web API."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
        except ConnectionError:
            return None
        finally:
            connection.close()

    def ask(self, expression: str) -> list[float]:
        """Return the current values of an expression, without NaN (0 / 0)."""
        answer = self.get(f"/api/v1/query?query={quote(hurried(expression))}")
        assert answer is not None, expression
        values = [float(series["value"][1]) for series in answer["data"]["result"]]
        return [value for value in values if value == value]

    def firing(self) -> set[str]:
        """Return the names of the firing alerts."""
        alerts = self.get("/api/v1/alerts")["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def fires(self, alert: str) -> None:
        until(lambda: alert in self.firing(), f"the alert {alert}")

    def calms(self, alert: str) -> None:
        until(lambda: alert not in self.firing(), f"the end of the alert {alert}")


@contextmanager
def watching(
    prometheus: str, folder: Path, *, workers: Sequence[int], cameras: Sequence[int]
) -> Iterator[Prometheus]:
    """Start a Prometheus that scrapes the given ports."""
    (folder / "targets").mkdir(parents=True)
    for name in ("prometheus.yml", "recording.yml", "alerts.yml"):
        (folder / name).write_text(hurried((PROMETHEUS / name).read_text()))
    for name, ports in (("workers", workers), ("cameras", cameras)):
        targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
        (folder / "targets" / f"{name}.yml").write_text(json.dumps(targets))
    (port,) = free_ports(1)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        watched = Prometheus(port)
        until(lambda: watched.get("/api/v1/alerts"), "a Prometheus that answers")
        yield watched
    finally:
        process.terminate()
        process.wait(20)
