"""`python -m tests.bench.cost`: what durability costs, in throughput and in age of predictions."""

import json
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from engines.model.bundle import find_bundle
from engines.model.seed import write_seed
from pipeline.local.cluster import LocalKafka
from tests.bench.frames import ACTIONS, SEED, STREAMS, Shot, Workload, take_shots
from tests.bench.served import BenchError, Served

FLOOR = 0.90  # promised share of the throughput of a worker that writes nothing
LIVE_FPS = 5.0  # of each stream, where ages are measured: about half of what two cores can do
LIVE_S = 15.0
WARM_S = 3.0  # of it, not measured


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to commit."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    module: str = "pipeline"


NOTHING = Variant("writes nothing", {"checkpoint_s": 0.1}, "tests.bench.unwritten")
DEFAULT = Variant("exactly_once, 100 ms", {"checkpoint_s": 0.1})
VARIANTS = (
    NOTHING,
    Variant("exactly_once, 50 ms", {"checkpoint_s": 0.05}),
    DEFAULT,
    Variant("exactly_once, 500 ms", {"checkpoint_s": 0.5}),
    Variant("low_latency, 500 ms", {"checkpoint_s": 0.5, "delivery": "low_latency"}),
)


def main(
    bundle: Annotated[str, typer.Option(help="seed, a shipped name or a path.")] = "seed",
    frames: Annotated[int, typer.Option(min=256, help="Frames of each run.")] = 800,
    rounds: Annotated[int, typer.Option(min=1, help="How often all are run.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure the same worker with several ways to commit, in turns, on a real one-node Kafka.

    Throughput: frames a second while the log is full of them, compared with a worker that writes
    nothing. Age: from capture until a reader has the prediction, at a steady 40 fps.

    Exit code 1: exactly_once at 100 ms is below 0.90 of the worker that writes nothing.

    Example: `python -m tests.bench.cost --rounds 5 --json cost.json`
    """
    console = Console()
    fps: dict[str, list[float]] = {}
    ages: dict[str, list[float]] = {}
    workload = SEED if bundle == "seed" else ACTIONS
    try:
        with (
            console.status("starting Kafka") as status,
            TemporaryDirectory(prefix="longtake-bench-") as folder,
            LocalKafka() as kafka,
        ):
            path = write_seed(Path(folder) / "seed") if bundle == "seed" else find_bundle(bundle)
            full = Served(kafka, path, "full", Path(folder))
            status.update("preparing frames")
            full.publish(take_shots(workload, frames), 15.0)
            for number in range(rounds):
                for variant in VARIANTS:
                    status.update(f"round {number + 1} of {rounds}: {variant.name}")
                    run = f"{number}-{VARIANTS.index(variant)}"
                    fps.setdefault(variant.name, []).append(
                        full.throughput(run, variant.module, variant.settings)
                    )
            for variant in VARIANTS[1:]:
                status.update(f"age: {variant.name}")
                live = Served(kafka, path, f"live-{VARIANTS.index(variant)}", Path(folder))
                ages[variant.name] = _live(live, workload, variant)
    except BenchError as exc:
        console.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc
    ratios = {
        name: statistics.median(a / b for a, b in zip(runs, fps[NOTHING.name], strict=True))
        for name, runs in fps.items()
    }
    console.print(_table(fps, ratios, ages))
    if json_file is not None:
        found = {"fps": fps, "ratios": ratios, "ages_ms": ages}
        json_file.write_text(json.dumps(found, indent=1) + "\n")
    raise typer.Exit(1 if ratios[DEFAULT.name] < FLOOR else 0)


def _live(served: Served, workload: Workload, variant: Variant) -> list[float]:
    """Return ages, in ms, of the predictions of cameras that publish at a steady rate."""
    shots = take_shots(workload, int((WARM_S + LIVE_S) * LIVE_FPS * len(STREAMS)))
    with served.live(variant.module, variant.settings) as (publish, predictions):
        filming = threading.Thread(target=_film, args=(shots, publish))
        filming.start()
        seen = list(predictions(len(shots)))
        filming.join()
    first_ms = min(captured_ms for captured_ms, _ in seen)
    return [
        read_ms - captured_ms
        for captured_ms, read_ms in seen
        if captured_ms >= first_ms + 1000 * WARM_S
    ]


def _film(shots: Sequence[Shot], publish: Any) -> None:
    """Publish each frame when it is due, with that capture time."""
    began_s = time.monotonic()
    for number, shot in enumerate(shots):
        due_s = began_s + number / (LIVE_FPS * len(STREAMS))
        time.sleep(max(0.0, due_s - time.monotonic()))
        publish(shot, time.time() * 1000)


def _table(fps: dict[str, list[float]], ratios: dict[str, float], ages: dict[str, Any]) -> Table:
    table = Table("", caption="throughput: medians, log full; age: capture to a reader, 40 fps")
    for name in ("frames/s", "of writing nothing", "age p50 ms", "p90 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for name, runs in fps.items():
        marks = np.percentile(ages[name], (50, 90, 99)) if name in ages else ()
        shown = [f"{mark:.0f}" for mark in marks] or ["", "", ""]
        table.add_row(name, f"{statistics.median(runs):.1f}", f"{ratios[name]:.2f}", *shown)
    return table


if __name__ == "__main__":
    typer.run(main)
