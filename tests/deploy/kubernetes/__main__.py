"""`python -m tests.deploy.kubernetes`: what the moves of a StatefulSet cost its streams.

The containers of deploy/kubernetes/base run as processes of this machine (`local_pod`), beside a
real Kafka. In the place of Kubernetes' controllers there is `local_set`.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.config import WorkerConfig
from pipeline.local.cluster import LocalKafka
from tests.cli.commands import SCRIPT, environment
from tests.deploy.kubernetes.gaps import GapWatch
from tests.deploy.kubernetes.local_pod import LocalPod
from tests.deploy.kubernetes.local_set import LocalSet
from tests.deploy.kubernetes.pods import Tree, Workload, tree

STREAMS = 4
SESSION_S = float(WorkerConfig.model_fields["session_timeout_s"].default)
CRASH_S = 4.0  # the start of Python, and the restore, on a machine that is busy


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that happened, and the longest time without a prediction of a stream."""

    name: str
    gap_s: float
    limit_s: float

    @property
    def is_slow(self) -> bool:
        return self.gap_s > self.limit_s


class Site:
    """Workers and cameras of the base; `close` ends them in order."""

    def __init__(self, kafka: LocalKafka, folder: Path) -> None:
        base = tree("base")
        self._kafka, self._folder = kafka, folder
        self._overrides = {"LONGTAKE_BOOTSTRAP": kafka.bootstrap}
        self._group = base.config_map("longtake")["LONGTAKE_GROUP"]
        self._topics = _workload(base, "topics")
        self.workers = LocalSet(_workload(base, "worker"), folder, overrides=self._overrides)
        self._cameras = LocalSet(_workload(base, "cameras"), folder, overrides=self._overrides)
        self._gaps: GapWatch | None = None
        self.moves: list[Move] = []

    def start(self) -> None:
        """Apply everything at once: workers wait for the topics, and cameras for Kafka."""
        self.workers.start(2)
        self._cameras.start(1)
        (container,) = self._topics.containers
        name = self._topics.name
        LocalPod(container, name, self._folder, overrides=self._overrides).await_end()
        self.workers.await_ready()
        self._cameras.await_ready()
        topic = WorkerConfig(group=self._group).predictions_topic
        self._gaps = GapWatch(self._kafka.connection, topic=topic)
        self._gaps.await_flow(STREAMS)

    def see(self, name: str, move: Callable[[], object], *, limit_s: float) -> None:
        """Do something, wait until all streams flow again, and keep the longest gap."""
        assert self._gaps is not None, "start comes first"
        since_s = time.monotonic()
        move()
        try:
            self.workers.await_ready()
            self._gaps.await_flow(STREAMS)
        except AssertionError as exc:
            logs = (f"{pod.name}:\n{pod.log.read_text()}" for pod in self.workers.pods.values())
            raise AssertionError("\n".join([f"{name}: {exc}", *logs])) from exc
        gap_s = self._gaps.longest_s(since_s, time.monotonic())
        self.moves.append(Move(name, round(gap_s, 2), limit_s))

    def close(self) -> None:
        """End cameras, workers, and the reader."""
        self._cameras.close()
        self.workers.close()
        if self._gaps is not None:
            self._gaps.close()

    def audit(self) -> tuple[int, str]:
        """Return the exit code and the last line of `longtake audit`."""
        words = [str(SCRIPT), "audit", "--group", self._group, "--bootstrap", self._kafka.bootstrap]
        ended = subprocess.run(
            words, env=environment(), capture_output=True, text=True, check=False
        )
        return ended.returncode, (ended.stdout or ended.stderr).strip().splitlines()[-1]


def _workload(base: Tree, component: str) -> Workload:
    (found,) = [one for one in base.workloads if one.name == f"longtake-{component}"]
    return found


def run(site: Site) -> None:
    """Let everything happen that happens to a StatefulSet."""
    workers, planned = site.workers, 1.0
    site.see("scale-up, 2 to 4 workers", lambda: workers.scale(4), limit_s=planned)
    site.see("scale-down, 4 to 2 workers", lambda: workers.scale(2), limit_s=planned)
    site.see("rolling restart of 2 workers", workers.roll, limit_s=planned)
    site.see("a process is killed", workers.pods[1].crash, limit_s=CRASH_S)
    site.see("a node is lost", lambda: workers.lose(1), limit_s=SESSION_S + 1)
    site.see("its pod is made anew", lambda: workers.scale(2), limit_s=planned)


def main(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Scale, roll, crash and lose workers under four cameras. Exit 1 if a limit is not kept.

    Limits: 1 s for planned moves, the session timeout + 1 s for a lost node, and a clean audit.
    """
    console = Console()
    with ExitStack() as stack:
        status = stack.enter_context(console.status("starting Kafka"))
        kafka = stack.enter_context(LocalKafka())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="longtake-kube-")))
        status.update("starting workers and cameras")
        with closing(Site(kafka, folder)) as site:
            site.start()
            status.update("moving workers")
            run(site)
        code, verdict = site.audit()
    table = Table("event", "longest gap of a stream, s", "limit, s")
    for move in site.moves:
        table.add_row(move.name, f"{move.gap_s:.2f}", f"{move.limit_s:g}")
    console.print(table)
    console.print(verdict, highlight=False)
    if json_file is not None:
        moves = [asdict(move) for move in site.moves]
        json_file.write_text(json.dumps({"moves": moves, "audit": verdict}, indent=1))
    slow = [move for move in site.moves if move.is_slow]
    raise typer.Exit(1 if slow or code else 0)


if __name__ == "__main__":
    typer.run(main)
