"""`python -m tests.bench.steady`: what a frame costs at a steady rate, as cameras have it."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from engines.model.bundle import find_bundle, load_bundle
from engines.model.seed import write_seed
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.local.cluster import LocalKafka
from tests.bench.frames import ACTIONS, SEED, STREAMS, Shot, Workload, take_shots
from tests.bench.machine import machine
from tests.bench.served import BenchError, Served, await_ready

WARM_S = 3.0
LAST_S = 2.0  # for the predictions that are on their way at the end


@dataclass(frozen=True, slots=True)
class Spent:
    """What all threads of a process have used so far."""

    cpu_s: float
    switches: int  # threads that went to sleep

    @classmethod
    def of(cls, pid: int) -> "Spent":
        """Read it (Linux)."""
        cpu_ns = switches = 0
        for thread in Path(f"/proc/{pid}/task").iterdir():
            cpu_ns += int((thread / "schedstat").read_text().split()[0])
            told = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
            switches += int(told["voluntary_ctxt_switches"])
        return cls(cpu_ns / 1e9, switches)


@dataclass(frozen=True, slots=True)
class Steady:
    """One rate: what the worker spent, and the ages of its predictions in milliseconds."""

    fps: float
    cpu_ms: float  # for each frame; without frames, of each second
    switches: float  # a second
    p50: float
    p99: float


def main(
    bundle: Annotated[str, typer.Option(help="seed, a shipped name or a path.")] = "actions",
    fps: Annotated[list[float] | None, typer.Option(help="Frames a second of all streams.")] = None,
    seconds: Annotated[float, typer.Option(min=2, help="Of each rate.")] = 15,
    delivery: Annotated[str, typer.Option(help="exactly_once or low_latency.")] = "exactly_once",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure a worker's CPU time for each frame, and the age of its predictions, at steady rates.

    Its threads are summed by the scheduler's own clock. The rate 0 is the idle worker.

    Example: `python -m tests.bench.steady --fps 0 --fps 10 --fps 100`
    """
    console, found = Console(), list[Steady]()
    workload = SEED if bundle == "seed" else ACTIONS
    try:
        with TemporaryDirectory(prefix="longtake-bench-") as folder, LocalKafka() as kafka:
            path = write_seed(Path(folder) / "seed") if bundle == "seed" else find_bundle(bundle)
            most = len(STREAMS) * (load_bundle(path).input.rate_hz or math.inf)
            for number, rate in enumerate(fps or (0.0, 10.0, 50.0, 100.0)):
                if rate > most:
                    raise BenchError(f"{rate:g} fps: the bundle takes {most:g} of so many streams")
                served = Served(kafka, path, f"steady-{number}", Path(folder))
                found.append(_measure(served, workload, rate, seconds, delivery))
    except BenchError as exc:
        console.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc
    console.print(_table(found))
    if json_file is not None:
        figures = {"machine": machine(), "delivery": delivery, "rates": [*map(asdict, found)]}
        json_file.write_text(json.dumps(figures, indent=1) + "\n")


class Camera(Thread):
    """Publishes each frame when it is due. `captured_s`: when it did, by stream and number."""

    def __init__(self, publisher: KafkaPublisher, shots: Sequence[Shot], fps: float) -> None:
        super().__init__()
        self.captured_s: dict[tuple[str, int], float] = {}
        self._publisher, self._shots, self._fps = publisher, shots, fps

    def run(self) -> None:
        """Film."""
        began_s = time.monotonic()
        for number, shot in enumerate(self._shots):
            time.sleep(max(0.0, began_s + number / self._fps - time.monotonic()))
            now_s = self.captured_s[shot.stream, shot.seq] = time.time()
            headers = (("captured-at", b"%.3f" % (1000 * now_s)), ("seq", b"%d" % shot.seq))
            self._publisher.publish(shot.stream, shot.content, headers)


class Viewer(Thread):
    """Reads predictions until it is `over`. `seen_s`: when each came, by stream and number."""

    def __init__(self, reader: TopicTail) -> None:
        super().__init__()
        self.seen_s: dict[tuple[str, int], float] = {}
        self.over = Event()
        self._reader = reader

    def run(self) -> None:
        """Read."""
        while not self.over.is_set():
            for record in self._reader.read(0.1):
                told = json.loads(record.value or b"")
                self.seen_s[told["stream"], told["seq"]] = time.time()


def _measure(served: Served, workload: Workload, fps: float, seconds: float, how: str) -> Steady:
    shots = take_shots(workload, int(fps * (WARM_S + seconds)))
    config = served.config("0", delivery=how)
    publisher = KafkaPublisher(config.connection, topic=config.frames_topic)
    reader = TopicTail(config.connection, topic=config.predictions_topic, from_start=True)
    camera, viewer = Camera(publisher, shots, fps), Viewer(reader)
    with served.worker(config) as process:
        await_ready(process, config.metrics_port)
        viewer.start()
        camera.start()
        time.sleep(WARM_S)
        before, warm_s = Spent.of(process.pid), time.time()
        time.sleep(seconds)
        after, took_s = Spent.of(process.pid), time.time() - warm_s
        camera.join()
        time.sleep(LAST_S)
        viewer.over.set()
        viewer.join()
    publisher.close()
    reader.close()
    if viewer.seen_s.keys() != camera.captured_s.keys():
        raise BenchError(f"{len(viewer.seen_s)} predictions of {len(shots)} frames at {fps:g} fps")
    ages_ms = [
        1000 * (viewer.seen_s[place] - captured_s)
        for place, captured_s in camera.captured_s.items()
        if captured_s >= warm_s
    ]
    p50, p99 = np.percentile(ages_ms or [np.nan], (50, 99)).tolist()
    return Steady(
        fps,
        1000 * (after.cpu_s - before.cpu_s) / (max(fps, 1.0) * took_s),
        (after.switches - before.switches) / took_s,
        p50,
        p99,
    )


def _table(found: Sequence[Steady]) -> Table:
    table = Table(caption="CPU of the worker: for each frame, and of one core")
    for name in ("frames/s", "CPU ms/frame", "of a core", "switches/s", "age p50 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for one in found:
        core = one.cpu_ms * max(one.fps, 1.0) / 1000
        table.add_row(
            f"{one.fps:g}",
            f"{one.cpu_ms:.2f}" if one.fps else "",
            f"{core:.1%}",
            f"{one.switches:.0f}",
            *(f"{mark:.0f}" if one.fps else "" for mark in (one.p50, one.p99)),
        )
    return table


if __name__ == "__main__":
    typer.run(main)
