"""The benchmark's worker: a real process on a real one-node Kafka, exactly once."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.config import WorkerConfig, load_config
from pipeline.local.cluster import LocalKafka
from pipeline.local.ports import free_ports
from pipeline.records import Headers, Record
from tests.bench.frames import PARTITIONS, Shot
from tests.bench.loop import Usage

PATIENCE_S = 60.0


class BenchError(Exception):
    """The worker did not finish its work."""


class Served:
    """A bundle's frames in a Kafka. Each run has its own group, and so its own memory and outputs.

    `folder` takes the workers' logs.
    """

    def __init__(self, kafka: LocalKafka, bundle: Path, name: str, folder: Path) -> None:
        self._kafka = kafka
        self._bundle = bundle.resolve()
        self._frames = f"{name}.frames"
        self._name = name
        self._folder = folder
        self._count = 0

    def publish(self, shots: Sequence[Shot], rate_hz: float) -> None:
        """Publish all frames, with capture times at `rate_hz` from now on."""
        now_ms = time.time() * 1000
        self.publish_records(
            (
                shot.stream,
                shot.content,
                (
                    ("captured-at", b"%.3f" % (now_ms + 1000 * shot.seq / rate_hz)),
                    ("seq", b"%d" % shot.seq),
                ),
            )
            for shot in shots
        )

    def publish_records(self, records: Iterable[tuple[str, bytes, Headers]]) -> None:
        """Publish records: stream, content and headers. Each is to be predicted."""
        self.config("topics")
        publisher = KafkaPublisher(self._kafka.connection, topic=self._frames)
        self._count = 0
        for stream, content, headers in records:
            publisher.publish(stream, content, headers)
            self._count += 1
        publisher.close()
        if publisher.lost:
            raise BenchError(f"{publisher.lost} of {self._count} frames did not reach the log")

    def run(self, number: int, *, warm: int) -> tuple[Usage, Usage, list[dict[str, Any]]]:
        """Let a worker predict all frames. Returns its usage, the broker's, and the predictions.

        Measured from the time when `warm` predictions or more can be read until all can be.
        """
        config = self.config(str(number), decode_threads=1)  # as the loop
        reader = TopicTail(config.connection, topic=config.predictions_topic, from_start=True)
        records: list[Record] = []
        (broker,) = self._kafka.pids.values()
        with self.worker(config) as process:
            pids = (process.pid, broker)
            await_ready(process, config.metrics_port)
            heard_s = began_s = time.monotonic()
            before, warmed = list[float](), 0
            while len(records) < self._count:
                new = reader.read(0.1)
                records += new
                if not before and len(records) >= warm:
                    began_s, before = time.monotonic(), [_cpu_s(pid) for pid in pids]
                    warmed = len(records)
                heard_s = time.monotonic() if new else heard_s
                if process.poll() is not None or time.monotonic() - heard_s > PATIENCE_S:
                    raise BenchError(f"silence after {len(records)} of {self._count} predictions")
            wall_s = time.monotonic() - began_s
            worker, kafka = (
                Usage(self._count - warmed, wall_s, _cpu_s(pid) - earlier_s)
                for pid, earlier_s in zip(pids, before, strict=True)
            )
            records += reader.read(0.5)  # a frame was predicted twice
        reader.close()
        return worker, kafka, [json.loads(record.value or b"") for record in records]

    def throughput(self, run: str, module: str, settings: Mapping[str, Any]) -> float:
        """Return the frames a second that a worker commits while the log is full, by its own count.

        `module` runs as the worker. The first and the last tenth are not measured.
        """
        config = self.config(run, **settings)
        counts: list[tuple[float, float]] = []
        with self.worker(config, module) as process:
            await_ready(process, config.metrics_port)
            heard_s = time.monotonic()
            while not counts or counts[-1][1] < self._count:
                now_s, done = time.monotonic(), settled(config.metrics_port)
                if not counts or done > counts[-1][1]:
                    counts.append((now_s, done))
                    heard_s = now_s
                if process.poll() is not None or now_s - heard_s > PATIENCE_S:
                    raise BenchError(f"silence after {counts} of {self._count} frames")
                time.sleep(0.02)
        within = [(s, n) for s, n in counts if 0.1 * self._count <= n <= 0.9 * self._count]
        (first_s, first), (last_s, last) = within[0], within[-1]
        return (last - first) / (last_s - first_s)

    @contextmanager
    def live(self, module: str, settings: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
        """Yield a ready worker, a function to publish (shot, captured_ms), and its predictions.

        A prediction is given as (captured_ms, read_ms).
        """
        config = self.config("0", **settings)
        publisher = KafkaPublisher(config.connection, topic=self._frames)
        reader = TopicTail(config.connection, topic=config.predictions_topic, from_start=True)
        captured: dict[tuple[str, int], float] = {}

        def publish(shot: Shot, captured_ms: float) -> None:
            captured[shot.stream, shot.seq] = captured_ms
            headers = (("captured-at", b"%.3f" % captured_ms), ("seq", b"%d" % shot.seq))
            publisher.publish(shot.stream, shot.content, headers)

        def predictions(count: int) -> Iterator[tuple[float, float]]:
            heard_s, seen = time.monotonic(), 0
            while seen < count:
                for record in reader.read(0.1):
                    read_ms = time.time() * 1000
                    told = json.loads(record.value or b"")
                    yield captured[told["stream"], told["seq"]], read_ms
                    heard_s, seen = time.monotonic(), seen + 1
                if time.monotonic() - heard_s > PATIENCE_S:
                    raise BenchError(f"silence after {seen} of {count} predictions")

        with self.worker(config, module) as process:
            await_ready(process, config.metrics_port)
            yield publish, predictions
        publisher.close()
        reader.close()

    def config(self, run: str, **wanted: Any) -> WorkerConfig:
        """Create the topics of a run, and return its settings; others have their defaults."""
        settings = {
            "bootstrap": self._kafka.bootstrap,
            "group": f"{self._name}-{run}",
            "bundle": str(self._bundle),
            "frames_topic": self._frames,
            "predictions_topic": f"{self._name}-{run}.predictions",
            "dead_letters_topic": f"{self._name}-{run}.dlq",
            "start": "earliest",
            "metrics_port": free_ports(1)[0],
        }
        config = load_config(None, settings | wanted)
        admin = TopicAdmin(config.connection, config.topics)
        admin.create(PARTITIONS)
        admin.close()
        return config

    @contextmanager
    def worker(
        self, config: WorkerConfig, module: str = "pipeline"
    ) -> Iterator[subprocess.Popen[bytes]]:
        told = config.model_dump(mode="json", exclude_none=True)
        environ = {f"LONGTAKE_{name.upper()}": str(value) for name, value in told.items()}
        log = self._folder / f"{config.group}.log"
        with (
            log.open("wb") as out,
            subprocess.Popen(
                [sys.executable, "-m", module, "worker"],
                env=os.environ | environ,
                stdout=out,
                stderr=out,
            ) as process,
        ):
            try:
                yield process
            except BenchError as exc:
                words = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
                raise BenchError(f"{exc}; the worker's last words:\n{words}") from exc
            finally:
                process.kill()  # its group is not needed any more


def await_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    code = process.poll()
    how = f"in {PATIENCE_S:.0f} s" if code is None else f"and ended with code {code}"
    raise BenchError(f"the worker was not ready {how}")


def settled(port: int) -> float:
    """Return how many frames a worker has predicted and committed."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    (count,) = re.findall(r'^longtake_records_total\{fate="predicted"[^}]*\} (\S+)$', text, re.M)
    return float(count)


def _cpu_s(pid: int) -> float:
    """Return the user and system time of a process with all its threads (Linux)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
