"""`python -m tests.fire`: good cameras beside each hostile producer; exit 1 if one harms them."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engines.model.bundle import find_bundle
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.config import WorkerConfig
from pipeline.local.cluster import LocalKafka
from tests.bench.served import Served, await_ready
from tests.fire.good import CAMERAS, FPS
from tests.fire.hostile import KINDS

MOST_LATER = 1.2  # p99 under fire, over p99 in calm: promise 5
LEAST_SHARE = 0.95  # of the predictions that the cameras' rate makes
CALM_S = 20.0
SETTLE_S = 5.0  # after a producer was killed: what it left in the log is worked off


@dataclass(frozen=True, slots=True)
class Spell:
    """What was seen for some seconds: the ages of good predictions, in ms."""

    seconds: float
    ages_ms: Sequence[float]

    @property
    def p99_ms(self) -> float:
        """99 of 100 predictions are younger; infinite where too few came."""
        wanted = LEAST_SHARE * self.seconds * CAMERAS * FPS
        if len(self.ages_ms) < max(wanted, 100):
            return float("inf")
        return statistics.quantiles(self.ages_ms, n=100)[98]


@dataclass(slots=True)
class Trial:
    """One kind of hostile producer."""

    kind: str
    calm: Spell
    fire: Spell
    rss_mib: float
    after: Spell = field(default_factory=lambda: Spell(0, ()))

    @property
    def ratio(self) -> float:
        """How much later the good cameras' predictions came."""
        return self.fire.p99_ms / self.calm.p99_ms


class Field:
    """A Kafka, a worker and the good cameras."""

    def __init__(self, kafka: LocalKafka, config: WorkerConfig, worker: subprocess.Popen[bytes]):
        self._kafka, self._config, self.worker = kafka, config, worker
        self._reader = TopicTail(
            config.connection, topic=config.predictions_topic, from_start=False
        )

    def look(self, seconds: float) -> Spell:
        """Read predictions as they come, and how old each is."""
        ages_ms: list[float] = []
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            records = self._reader.read(0.1)
            now_ms = time.time() * 1000
            told = [
                json.loads(one.value or b"") for one in records if (one.key or b"")[:5] == b"good-"
            ]
            ages_ms += [now_ms - _ms(one["captured_at"]) for one in told]
            if self.worker.poll() is not None:
                raise SystemExit(f"the worker ended with {self.worker.returncode}")
            self._kafka.check()
        return Spell(seconds, ages_ms)

    @contextmanager
    def child(self, module: str, *arguments: str) -> Iterator[None]:
        """Run a producer while the block runs."""
        command = [sys.executable, "-m", module, *arguments]
        told = (self._config.bootstrap, self._config.frames_topic)
        with subprocess.Popen([*command, *told]) as process:
            try:
                yield
            finally:
                process.kill()

    def rss_mib(self) -> float:
        """The most memory that the worker has had since the last call."""
        status = Path(f"/proc/{self.worker.pid}/status").read_text()
        most_kib = int(status.split("VmHWM:")[1].split()[0])
        Path(f"/proc/{self.worker.pid}/clear_refs").write_text("5")
        return most_kib / 1024


def _ms(captured_at: str) -> float:
    return datetime.fromisoformat(captured_at).timestamp() * 1000


def main(
    seconds: Annotated[float, typer.Option(min=5, help="Of each kind.")] = 60.0,
    kind: Annotated[list[str] | None, typer.Option(help="Only this; may be given again.")] = None,
    bundle: Annotated[str, typer.Option(help="A shipped name or a path.")] = "actions",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure how much later 16 good cameras' predictions come beside one hostile producer.

    Kinds: huge-pictures, costly-pictures, costly-streams, new-streams, garbage, ends, big-garbage,
    headers, names, truncated, packed.

    Example: `python -m tests.fire --seconds 20 --kind garbage`
    """
    console, trials = Console(), list[Trial]()
    with ExitStack() as stack:
        status = stack.enter_context(console.status("starting Kafka"))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="longtake-fire-")))
        kafka = stack.enter_context(LocalKafka())
        served = Served(kafka, Path(find_bundle(bundle)), "fire", folder)
        config = served.config("0", start="latest")
        process = stack.enter_context(served.worker(config))
        await_ready(process, config.metrics_port)
        field_ = Field(kafka, config, process)
        stack.enter_context(field_.child("tests.fire.good"))
        field_.look(SETTLE_S)
        for name in kind or KINDS:
            status.update(f"{name}: calm")
            calm = field_.look(CALM_S)
            field_.rss_mib()
            with field_.child("tests.fire.hostile", name):
                status.update(f"{name}: fire")
                fire = field_.look(seconds)
            trials.append(Trial(name, calm, fire, field_.rss_mib()))
            trials[-1].after = field_.look(SETTLE_S)
            console.print(_line(trials[-1]), highlight=False)
    console.print(_table(trials))
    if json_file is not None:
        rows = {t.kind: [t.calm.p99_ms, t.fire.p99_ms, t.ratio, t.rss_mib] for t in trials}
        json_file.write_text(json.dumps(rows))
    if any(trial.ratio > MOST_LATER for trial in trials):
        raise typer.Exit(1)


def _line(trial: Trial) -> str:
    return (
        f"{trial.kind}: p99 {trial.calm.p99_ms:.0f} ms in calm, {trial.fire.p99_ms:.0f} ms under"
        f" fire ({trial.ratio:.2f}), {trial.after.p99_ms:.0f} ms after; {trial.rss_mib:.0f} MiB;"
        f" {len(trial.fire.ages_ms)} predictions"
    )


def _table(trials: Sequence[Trial]) -> Table:
    table = Table("hostile producer", "p99 calm, ms", "p99 under fire, ms", "ratio", "RSS, MiB")
    for one in trials:
        colour = "red" if one.ratio > MOST_LATER else "green"
        numbers = (f"{one.calm.p99_ms:.0f}", f"{one.fire.p99_ms:.0f}")
        table.add_row(one.kind, *numbers, f"[{colour}]{one.ratio:.2f}[/]", f"{one.rss_mib:.0f}")
    return table


if __name__ == "__main__":
    typer.run(main)
