"""`python -m tests.fire`: good cameras beside each hostile producer; exit 1 if one harms them."""

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from engines.model.bundle import find_bundle
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.broker.partitioner import partition_of
from pipeline.config import WorkerConfig
from pipeline.local.cluster import LocalKafka
from tests.bench.frames import PARTITIONS
from tests.bench.served import BenchError, Served, await_ready
from tests.fire.good import CAMERAS, FPS
from tests.fire.hostile import KINDS

MOST_LATER = 1.2  # p99 under fire, over p99 in calm: promise 5
LEAST_SHARE = 0.95  # of the predictions that the cameras' rate makes
CALM_S = 20.0
SETTLE_S = 5.0

Place: TypeAlias = Literal["its partitions", "others"]  # of a camera, seen from the hostile one
PLACES: Sequence[Place] = ("its partitions", "others")
Worker: TypeAlias = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Spell:
    """What was seen for some seconds: the ages in ms of a number of cameras' predictions."""

    seconds: float
    cameras: int
    ages_ms: Sequence[float]

    @property
    def p99_ms(self) -> float:
        """99 of 100 predictions are younger; infinite where too few came."""
        if len(self.ages_ms) < max(LEAST_SHARE * self.seconds * self.cameras * FPS, 100):
            return float("inf")
        return statistics.quantiles(self.ages_ms, n=100)[98]


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind of hostile producer: the cameras beside it, in its partitions and in the others."""

    kind: str
    calm: Mapping[Place, Spell]
    fire: Mapping[Place, Spell]
    rss_mib: float

    def ratio(self, place: Place) -> float | None:
        """How much later predictions came; None if no camera is there."""
        if not self.calm[place].cameras:
            return None
        return self.fire[place].p99_ms / self.calm[place].p99_ms


class Field:
    """A Kafka topic, a worker and the good cameras. `hit`: the partitions of the hostile keys."""

    def __init__(
        self, kafka: LocalKafka, config: WorkerConfig, worker: Worker, *, hit: Collection[int]
    ) -> None:
        self._kafka, self._config, self.worker = kafka, config, worker
        self._places: dict[str, Place] = {}
        for n in range(CAMERAS):
            name = f"good-{n}"
            hits = partition_of(name.encode(), PARTITIONS) in hit
            self._places[name] = "its partitions" if hits else "others"
        self._reader = TopicTail(
            config.connection, topic=config.predictions_topic, from_start=False
        )

    def look(self, seconds: float) -> Mapping[Place, Spell]:
        """Read predictions as they come, and how old each is."""
        ages_ms: dict[Place, list[float]] = {place: [] for place in PLACES}
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            records = self._reader.read(0.1)
            now_ms = time.time() * 1000
            for record in records:
                place = self._places.get((record.key or b"").decode("ascii", "replace"))
                if place is not None:
                    captured_ms = _ms(json.loads(record.value or b"")["captured_at"])
                    ages_ms[place].append(now_ms - captured_ms)
            if self.worker.poll() is not None:
                raise BenchError(f"the worker ended with {self.worker.returncode}")
            self._kafka.check()
        there = Counter(self._places.values())
        return {place: Spell(seconds, there[place], ages_ms[place]) for place in PLACES}

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

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


def _ms(captured_at: str) -> float:
    return datetime.fromisoformat(captured_at).timestamp() * 1000


def main(
    seconds: Annotated[float, typer.Option(min=5, help="Of each kind.")] = 60.0,
    kind: Annotated[list[str] | None, typer.Option(help="Only this; may be given again.")] = None,
    bundle: Annotated[str, typer.Option(help="A shipped name or a path.")] = "actions",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure how much later 16 good cameras' predictions come beside one hostile producer.

    Each kind has a worker and topics of its own. Cameras whose partitions the hostile keys hit are
    measured apart from the others.

    Kinds: huge-pictures, costly-pictures, costly-streams, new-streams, garbage, ends, big-garbage,
    headers, names, truncated, packed.

    Example: `python -m tests.fire --seconds 20 --kind garbage`
    """
    console, trials = Console(), list[Trial]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="longtake-fire-")))
        kafka = stack.enter_context(LocalKafka())
        for name in kind or KINDS:
            with console.status(name):
                served = Served(kafka, Path(find_bundle(bundle)), f"fire-{name}", folder)
                trials.append(_tried(name, kafka, served, seconds))
            console.print(_line(trials[-1]), highlight=False)
    console.print(_table(trials))
    if json_file is not None:
        json_file.write_text(json.dumps({one.kind: _figures(one) for one in trials}))
    if any((one.ratio("others") or 0) > MOST_LATER for one in trials):
        raise typer.Exit(1)


def _tried(name: str, kafka: LocalKafka, served: Served, seconds: float) -> Trial:
    config = served.config("0", start="latest")
    keys = (key for key, _, _ in islice(KINDS[name](), 200))
    hit = {partition_of(key, PARTITIONS) for key in keys if key is not None}
    with served.worker(config) as process:
        await_ready(process, config.metrics_port)
        with closing(Field(kafka, config, process, hit=hit)) as field:
            with field.child("tests.fire.good"):
                field.look(SETTLE_S)
                calm = field.look(CALM_S)
                field.rss_mib()
                with field.child("tests.fire.hostile", name):
                    fire = field.look(seconds)
            return Trial(name, calm, fire, field.rss_mib())


def _figures(trial: Trial) -> Mapping[str, object]:
    figures: dict[str, object] = {"rss_mib": round(trial.rss_mib)}
    for place in PLACES:
        calm, fire = trial.calm[place], trial.fire[place]
        figures[place] = [calm.cameras, calm.p99_ms, fire.p99_ms, len(fire.ages_ms)]
    return figures


def _line(trial: Trial) -> str:
    words = [
        f"{trial.calm[place].cameras} cameras in {place}: p99 {trial.calm[place].p99_ms:.0f} ms in"
        f" calm, {trial.fire[place].p99_ms:.0f} ms under fire ({ratio:.2f}),"
        f" {len(trial.fire[place].ages_ms)} predictions"
        for place in PLACES
        if (ratio := trial.ratio(place)) is not None
    ]
    return f"{trial.kind}: {'; '.join(words)}; {trial.rss_mib:.0f} MiB"


def _table(trials: Sequence[Trial]) -> Table:
    table = Table("hostile producer", *(f"p99, {place}: times" for place in PLACES), "RSS, MiB")
    for one in trials:
        table.add_row(one.kind, *(_coloured(one.ratio(p)) for p in PLACES), f"{one.rss_mib:.0f}")
    return table


def _coloured(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"[{'red' if ratio > MOST_LATER else 'green'}]{ratio:.2f}[/]"


if __name__ == "__main__":
    typer.run(main)
