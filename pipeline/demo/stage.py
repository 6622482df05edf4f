"""The two environments of the demo: a local Kafka with a worker process, or all in memory."""

import logging
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from engines.child_python import module_command, module_environment
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.memory.log import MemoryLog
from pipeline.broker.memory.memory_broker import MemoryBroker
from pipeline.broker.memory.memory_group import MemoryGroup
from pipeline.broker.partitioner import partition_of
from pipeline.clock import SystemClock
from pipeline.config import load_config
from pipeline.errors import LongtakeError
from pipeline.local.cluster import LocalKafka
from pipeline.local.processes import tethered
from pipeline.records import Changelog, Headers, Record, Topics
from pipeline.wire.changelog import MANIFEST_KEY, Manifest
from pipeline.worker.service import Service

log = logging.getLogger(__name__)

PARTITIONS = 4
READY_S = 60.0
STOP_S = 15.0
GROUP = "demo"
ENGINE = "onnxruntime"  # TensorRT would need minutes for its first start


class Stage(Protocol):
    """A log, and a worker that reads and writes it."""

    name: str

    def start(self) -> None:
        """Start everything and wait until the worker is ready."""

    def publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        """Send one frame."""

    def predictions(self, timeout_s: float) -> Sequence[Record]:
        """Return new committed predictions; waits at most `timeout_s` for them."""

    def worker(self) -> str:
        """Describe the state of the worker in a few words; restart it if it has died."""

    def finish(self) -> Counter[str]:
        """Stop the worker after the last frames; returns their fates, read from the manifests."""

    def close(self) -> None:
        """Stop everything that still runs."""


def fates(changelogs: Sequence[Changelog]) -> Counter[str]:
    """Add up the fates of all partitions' ledgers."""
    total: Counter[str] = Counter()
    for changelog in changelogs:
        found = changelog.records.get(MANIFEST_KEY)
        if found is not None:
            total.update({str(f): n for f, n in Manifest.read(found).fates.items() if n})
    return total


class KafkaStage:
    """A local Apache Kafka, and a worker process that is restarted whenever it dies."""

    name = "kafka"

    def __init__(self, bundle: str) -> None:
        self._bundle = bundle
        self._folder = TemporaryDirectory(prefix="longtake-demo-")
        self._kafka = LocalKafka(nodes=1)
        self._topics = load_config(None, {"group": GROUP}).topics
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._publisher: KafkaPublisher | None = None
        self._reader: TopicTail | None = None

    def start(self) -> None:
        """See `Stage`."""
        self._kafka.start()
        admin = TopicAdmin(self._kafka.connection, self._topics)
        admin.create(PARTITIONS)
        admin.close()
        self._process = self._start_worker()
        self._publisher = KafkaPublisher(self._kafka.connection, topic=self._topics.frames)
        self._reader = TopicTail(
            self._kafka.connection, topic=self._topics.predictions, from_start=True
        )
        self._await_ready()

    def _start_worker(self) -> subprocess.Popen[bytes]:
        command = [
            *module_command("pipeline"),
            "worker",
            *("--bootstrap", self._kafka.bootstrap),
            *("--bundle", self._bundle, "--group", GROUP, "--slot", "demo"),
            *("--engine", ENGINE),
            *("--metrics-port", str(self._port)),
        ]
        with Path(self._folder.name, "worker.log").open("ab") as out:
            return subprocess.Popen(  # noqa: S603 - our own program, no shell
                tethered(command),
                env=module_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            if self._process is not None and self._process.poll() is not None:
                raise LongtakeError(f"the worker ended at once:\n{self._last_words()}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise LongtakeError(f"the worker was not ready in {READY_S:.0f} s:\n{self._last_words()}")

    def _last_words(self) -> str:
        text = Path(self._folder.name, "worker.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        """See `Stage`."""
        if self._publisher is not None:
            self._publisher.publish(stream, content, headers)

    def predictions(self, timeout_s: float) -> Sequence[Record]:
        """See `Stage`."""
        return () if self._reader is None else self._reader.read(timeout_s)

    def worker(self) -> str:
        """See `Stage`."""
        if self._process is None:
            return "not started"
        if self._process.poll() is not None:
            self._restarts += 1
            self._process = self._start_worker()
        times = f", restarted {self._restarts}x" if self._restarts else ""
        return f"worker process {self._process.pid}{times}"

    def finish(self) -> Counter[str]:
        """See `Stage`."""
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None
        time.sleep(0.5)  # for the last frames to pass
        self._stop_worker()
        reader = KafkaChangelog(
            self._kafka.connection,
            topics=self._topics,
            group=GROUP,
            stall_s=10,
            clock=SystemClock(),
        )
        try:
            return fates(list(reader.read(range(PARTITIONS)).values()))
        finally:
            reader.close()

    def _stop_worker(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        """See `Stage`."""
        self._stop_worker()
        if self._reader is not None:
            self._reader.close()
        self._kafka.stop()
        self._folder.cleanup()


class MemoryStage:
    """A log in memory and a worker in a thread: needs no Java, but the worker cannot be killed."""

    name = "memory"

    def __init__(self, bundle: str) -> None:
        config = load_config(
            None, {"group": GROUP, "bundle": bundle, "metrics_port": 0, "engine": ENGINE}
        )
        self._topics: Topics = config.topics
        self._log = MemoryLog(self._topics, MemoryGroup(PARTITIONS), clock=SystemClock())
        broker = MemoryBroker(self._log, slot="demo")
        self._service = Service(config, broker=broker, name="demo")
        self._thread = threading.Thread(target=self._service.run, name="worker", daemon=True)
        self._read: Counter[int] = Counter()

    def start(self) -> None:
        """See `Stage`."""
        self._thread.start()
        deadline_s = time.monotonic() + READY_S
        while not self._service.worker.ready:
            if time.monotonic() > deadline_s or not self._thread.is_alive():
                raise LongtakeError("the worker did not become ready")
            time.sleep(0.05)

    def publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        """See `Stage`."""
        partition = partition_of(stream.encode(), PARTITIONS)
        self._log.publish(partition, stream.encode(), content, headers)

    def predictions(self, timeout_s: float) -> Sequence[Record]:
        """See `Stage`."""
        time.sleep(timeout_s)
        new = [
            record
            for record in self._log.read_committed(self._topics.predictions)
            if record.offset >= self._read[record.partition]
        ]
        for record in new:
            self._read[record.partition] = record.offset + 1
        return new

    def worker(self) -> str:
        """See `Stage`."""
        return "worker thread" if self._thread.is_alive() else "the worker has ended"

    def finish(self) -> Counter[str]:
        """See `Stage`."""
        time.sleep(0.5)
        self.close()
        found = [self._log.changelog(number) for number in range(PARTITIONS)]
        return fates([changelog for changelog in found if changelog is not None])

    def close(self) -> None:
        """See `Stage`."""
        self._service.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
