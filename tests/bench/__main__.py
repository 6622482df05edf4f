"""`python -m tests.bench`: prints the table, and exits with 1 if the promise is not kept."""

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engines.errors import BundleError
from engines.model.bundle import find_bundle, load_bundle
from engines.model.seed import write_seed
from pipeline.local.cluster import LocalKafka
from tests.bench.frames import (
    ACTIONS,
    BATCH,
    LANGUAGES,
    RATE_HZ,
    SEED,
    STRANDS,
    Shot,
    Workload,
    take_shots,
)
from tests.bench.loop import UNMEASURED, Usage, run_loop
from tests.bench.machine import machine
from tests.bench.served import BenchError, Served

ROUNDING = 1e-4  # scores are written with four decimals


@dataclass(frozen=True, slots=True)
class Round:
    """One run of each side, directly after each other."""

    loop: Usage
    planes: Usage
    worker: Usage
    broker: Usage

    @property
    def efficiency(self) -> float:
        """The worker's CPU efficiency; that of the loop that anyone would write is 1."""
        return self.loop.cpu_ms / self.worker.cpu_ms

    @property
    def of_planes(self) -> float:
        """The worker's CPU efficiency beside the loop that decodes to planes."""
        return self.planes.cpu_ms / self.worker.cpu_ms


def main(
    bundle: Annotated[
        list[str] | None, typer.Option(help="Only this: seed, a shipped name or a path.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=64, help="Frames of each run.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often both are run.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure the worker beside two bare loops, with a real Kafka on the same cores.

    All predict the same records of 8 streams (JPEGs, words, bases) with one engine and one decoder
    thread, in turns. One loop is what anyone would write; the other decodes to planes and encodes
    these, as the worker does. The first frames of each run, a tenth, are not measured.

    CPU efficiency is the loop's CPU time per frame divided by the worker's. Exit code 1: it is
    below the promised value, or the worker's predictions differ from the loop's.

    Example: `python -m tests.bench --bundle seed --rounds 5 --json bench.json`
    """
    console, measured = Console(), dict[Workload, list[Round]]()
    try:
        with (
            console.status("starting Kafka") as status,
            TemporaryDirectory(prefix="longtake-bench-") as folder,
            LocalKafka() as kafka,
        ):
            for workload in _workloads(bundle, frames):
                try:
                    path = _find(workload.bundle, Path(folder))
                except BundleError as exc:
                    console.print(f"not measured: {exc}", highlight=False)
                    continue
                served = Served(kafka, path, f"bench-{len(measured)}", Path(folder))
                measured[workload] = _measure(workload, path, served, rounds, status.update)
    except BenchError as exc:
        console.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc
    console.print(_table(measured))
    if json_file is not None:
        figures = {
            w.bundle: {
                "efficiency": _median(done, "efficiency"),
                "of_planes": _median(done, "of_planes"),
                "rounds": [*map(asdict, done)],
            }
            for w, done in measured.items()
        }
        json_file.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")
    missed = [w for w, done in measured.items() if _median(done, "efficiency") < w.floor]
    for workload in missed:
        console.print(f"[bold red]{workload.bundle}: below the promised {workload.floor:.2f}[/]")
    raise typer.Exit(1 if missed else 0)


def _workloads(bundles: Sequence[str] | None, frames: int | None) -> list[Workload]:
    known = {workload.bundle: workload for workload in (SEED, ACTIONS, LANGUAGES, STRANDS)}
    usual = ("seed", "actions")
    chosen = [known.get(name, replace(ACTIONS, bundle=name)) for name in bundles or usual]
    return [replace(w, frames=(frames or w.frames) // BATCH * BATCH) for w in chosen]


def _find(name: str, folder: Path) -> Path:
    return write_seed(folder / "seed") if name == "seed" else find_bundle(name)


def _measure(
    workload: Workload, path: Path, served: Served, rounds: int, say: Callable[[str], None]
) -> list[Round]:
    say(f"{workload.bundle}: preparing frames")
    shots = take_shots(workload, workload.frames + UNMEASURED)
    records, logged = [shot.content for shot in shots], shots[: workload.frames]
    served.publish(logged, load_bundle(path).input.rate_hz or RATE_HZ)
    done = []
    for number in range(1, rounds + 1):
        say(f"{workload.bundle}: round {number} of {rounds}, bare loops")
        loop, scores = _alone(records, path, planes=False)
        planes, same = _alone(records, path, planes=True)
        if not np.array_equal(scores, same):
            raise BenchError("the two loops' scores differ")
        say(f"{workload.bundle}: round {number} of {rounds}, worker")
        worker, broker, predictions = served.run(number, warm=workload.frames // 10)
        _compare(predictions, logged, scores)
        done.append(Round(loop, planes, worker, broker))
    return done


def _alone(
    records: Sequence[bytes], path: Path, *, planes: bool
) -> tuple[Usage, NDArray[np.float64]]:
    """Run a loop in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        return alone.submit(run_loop, records, path, planes=planes).result()


def _compare(
    predictions: Sequence[Mapping[str, Any]], shots: Sequence[Shot], scores: NDArray[np.float64]
) -> None:
    """Check that every frame is predicted once, with the loop's scores."""
    wanted = {(shot.stream, shot.seq): line for shot, line in zip(shots, scores, strict=False)}
    came = {(p["stream"], p["seq"]): list(p["scores"].values()) for p in predictions}
    if len(predictions) != len(wanted) or came.keys() != wanted.keys():
        raise BenchError(f"{len(predictions)} predictions, {len(came)} different, of {len(wanted)}")
    worst = max(float(np.abs(wanted[place] - came[place]).max()) for place in wanted)
    if worst > ROUNDING:
        raise BenchError(f"the worker's scores differ from the loop's by {worst:.4f}")


def _table(measured: Mapping[Workload, Sequence[Round]]) -> Table:
    table = Table(caption=f"medians on {os.cpu_count()} cores; efficiency also lowest to highest")
    for name in ("bundle", "", "frames/s", "CPU ms/frame", "CPU efficiency"):
        table.add_column(name, justify="left" if name in ("bundle", "") else "right")
    for workload, done in measured.items():
        efficiencies = sorted(r.efficiency for r in done)
        span = f"{_median(done, 'efficiency'):.2f} ({efficiencies[0]:.2f}-{efficiencies[-1]:.2f})"
        of_planes = f"{_median(done, 'efficiency') / _median(done, 'of_planes'):.2f}"
        for side, note in (("loop", "1"), ("planes", of_planes), ("worker", span), ("broker", "")):
            fps = f"{_median([getattr(r, side) for r in done], 'fps'):.1f}" if note else ""
            cpu_ms = f"{_median([getattr(r, side) for r in done], 'cpu_ms'):.2f}"
            table.add_row(workload.bundle, side, fps, cpu_ms, note, end_section=not note)
    return table


def _median(things: Sequence[Any], name: str) -> float:
    return float(statistics.median(getattr(thing, name) for thing in things))


if __name__ == "__main__":
    typer.run(main)
