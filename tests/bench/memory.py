"""`python -m tests.bench.memory`: the cost of many streams' memory, and the time to restore it."""

import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from engines.model.bundle import find_bundle, load_bundle
from pipeline.broker.checkpoint import Checkpoint, Member, PartitionCheckpoint
from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig
from pipeline.local.cluster import LocalKafka
from pipeline.records import Admission
from pipeline.wire.changelog import Manifest
from pipeline.wire.snapshots import Snapshot
from tests.bench.frames import ACTIONS, PARTITIONS, take_shots
from tests.bench.served import Served, await_ready, settled

CHECKPOINT_S = 0.1
SAMPLE_S = 10.0
MOST_RESTORE_S, MOST_STREAM_BYTES = 2.0, 16 * 1024  # promised for 10,000 streams


def main(
    streams: Annotated[int, typer.Option(min=1, help="Streams that are remembered.")] = 10_000,
    minutes: Annotated[float, typer.Option(min=0.5, help="How long the changelog grows.")] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Measure a restore of many streams, their memory, and how far a changelog grows.

    Exit code 1: a restore took more than 2 s, or a stream more than 16 KB.

    Example: `python -m tests.bench.memory --minutes 10`
    """
    console = Console()
    with (
        console.status("starting Kafka") as status,
        TemporaryDirectory(prefix="longtake-bench-") as name,
    ):
        folder = Path(name)
        with LocalKafka(data=folder / "kafka") as kafka:
            status.update(f"letting a worker see {streams} streams")
            restored = _restore(kafka, folder, streams)
            status.update(f"100 streams, 10 checkpoints a second, {minutes:g} minutes")
            sizes = list(_grow(kafka, folder, minutes))
    console.print(_table(restored, sizes))
    if json_file is not None:
        told = {"restore": restored, "changelog_bytes": sizes}
        json_file.write_text(json.dumps(told, indent=1) + "\n")
    slow = restored["restore_s"] > MOST_RESTORE_S
    raise typer.Exit(1 if slow or restored["stream_bytes"] > MOST_STREAM_BYTES else 0)


def _restore(kafka: LocalKafka, folder: Path, streams: int) -> dict[str, float]:
    """Let one worker predict a frame of every stream, and the next one restore them all."""
    served = Served(kafka, find_bundle("actions"), "many", folder)
    nobody, group = served.config("nobody", start="latest"), served.config("group")
    shot = take_shots(ACTIONS, 1)[0]
    publisher = KafkaPublisher(kafka.connection, topic=group.frames_topic)
    for number in range(streams):
        publisher.publish(f"cam-{number:05}", shot.content, ())
    publisher.close()
    with _ready(served, group):
        while settled(group.metrics_port) < streams:
            time.sleep(0.2)
    with _ready(served, nobody):
        empty_bytes = _metric(nobody, "process_resident_memory_bytes")
    began_s = time.monotonic()
    with _ready(served, group):
        ready_s = time.monotonic() - began_s
        remembered = _metric(group, "longtake_streams")
        full_bytes = _metric(group, "process_resident_memory_bytes")
    log = (folder / f"{group.group}.log").read_text()
    return {
        "streams": remembered,
        "restore_s": float(log.rpartition(" streams in ")[2].split()[0]),
        "start_to_ready_s": ready_s,
        "stream_bytes": (full_bytes - empty_bytes) / remembered,
    }


@contextmanager
def _ready(served: Served, config: WorkerConfig) -> Iterator[None]:
    """Start a worker that has restored all streams; stop it at the end."""
    with served.worker(config) as process:
        await_ready(process, config.metrics_port)
        yield
        process.send_signal(signal.SIGTERM)
        process.wait()


def _metric(config: WorkerConfig, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{config.metrics_port}/metrics") as answer:
        text = answer.read().decode()
    (value,) = re.findall(rf"^{name}\{{.*\}} (\S+)$", text, re.M)
    return float(value)


def _grow(kafka: LocalKafka, folder: Path, minutes: float) -> Iterator[tuple[float, int]]:
    """Commit 100 snapshots ten times a second. Yields (seconds, bytes on disk) at intervals."""
    config = Served(kafka, find_bundle("actions"), "growing", folder).config("group")
    broker = KafkaBroker(config.group_settings, clock=SystemClock())
    consumer, writer = broker.consumer(), broker.writer()
    began_s, sampled_s, number = time.monotonic(), 0.0, 0
    while time.monotonic() - began_s < minutes * 60:
        due_s = time.monotonic() + CHECKPOINT_S
        consumer.poll(0.01, 1)
        member = consumer.member()
        if member is not None:
            writer.commit(_checkpoint(number, member), member)
            number += 1
        if time.monotonic() - began_s - sampled_s >= SAMPLE_S:
            sampled_s = time.monotonic() - began_s
            yield sampled_s, _size(folder / "kafka", f"{config.group}.state-")
        time.sleep(max(0.0, due_s - time.monotonic()))
    consumer.close()
    writer.close()


def _checkpoint(number: int, member: Member) -> Checkpoint:
    """Return a checkpoint of 100 streams of `actions`, a quarter of them in each partition."""
    bundle = load_bundle(find_bundle("actions"))
    rng = np.random.default_rng(number)
    parts = []
    for partition in range(PARTITIONS):
        snapshots = [
            Snapshot(
                stream=f"cam-{stream}",
                bundle=bundle.digest,
                offset=number,
                admission=Admission(record_ms=number, seen_us=number),
                stepped_us=number,
                age_us=number,
                frames=number,
                chain="00000000",
                pending_reset=None,
                tensors={
                    s.name: rng.random(s.shape).astype(np.dtype(s.dtype)) for s in bundle.state
                },
            ).write(partition)
            for stream in range(partition, 100, PARTITIONS)
        ]
        manifest = Manifest(
            0, number, number, "bench", member.generation, bundle.digest, PARTITIONS, 0
        )
        outgoing = (*snapshots, manifest.write(partition))
        parts.append(
            PartitionCheckpoint(partition, 1, number, 0, number, outgoing, manifest, (), {})
        )
    return Checkpoint(tuple(parts), time.time())


def _size(folder: Path, topic: str) -> int:
    """Return the bytes of a topic's segments on disk, without indexes."""
    return sum(
        file.stat().st_size
        for place in folder.rglob(f"{topic}*")
        if place.is_dir()
        for file in place.glob("*.log")
        if file.exists()
    )


def _table(restored: dict[str, float], sizes: list[tuple[float, int]]) -> Table:
    table = Table("", "measured", show_header=False)
    table.add_row("streams restored", f"{restored['streams']:.0f}")
    table.add_row("read back and filled in", f"{restored['restore_s']:.2f} s")
    table.add_row("from start of the process to ready", f"{restored['start_to_ready_s']:.1f} s")
    table.add_row("memory of an idle stream", f"{restored['stream_bytes'] / 1024:.1f} KB")
    half = sizes[len(sizes) // 2 :]
    for label, part in (("first half", sizes[: len(sizes) // 2]), ("second half", half)):
        most = max((size for _, size in part), default=0)
        table.add_row(f"changelog on disk, most in the {label}", f"{most / 2**20:.0f} MB")
    written = sizes[-1][0] / CHECKPOINT_S if sizes else 0
    table.add_row("checkpoints of 100 streams meanwhile", f"about {written:.0f}")
    return table


if __name__ == "__main__":
    typer.run(main)
