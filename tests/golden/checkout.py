"""Runs the code of a checkout by its command line, and keeps the records that it has written."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

HERE = Path(__file__).parent
PATIENCE_S = 60.0
PARTITIONS = 2
SESSION_S = 6.0
Headers = Sequence[tuple[str, bytes]]


class Checkout:
    """The code of a checkout, run by its command line in `folder`."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self._folder = checkout, folder
        kept = {name: value for name, value in os.environ.items() if name[:9] != "LONGTAKE_"}
        own = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
        self.environment = kept | own | {"LONGTAKE_CACHE": str(folder / "cache")}
        self._brokers = dict(os.environ) | own  # the jars of Kafka are in the user's own cache

    def start(self, *words: str | Path, log: str) -> "subprocess.Popen[str]":
        """Start a command; its output goes into a file of the folder."""
        environment = self._brokers if words[0] == "broker" else self.environment
        with (self._folder / log).open("a") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "pipeline", *words],
                cwd=self.checkout, env=environment, stdout=file, stderr=file, text=True,
            )  # fmt: skip

    def run(self, *words: str | Path) -> str:
        """Run a command to its end. Returns its output; a failure is an error."""
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            cwd=self.checkout, env=self.environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return ended.stdout

    def inside(self, *words: str | Path, python: Path | None = None) -> str:
        """Run `inside.py` with the checkout's modules. Returns its output."""
        command = [python or Path(sys.executable), HERE / "inside.py", *words]
        ended = subprocess.run(
            command, cwd=self.checkout, env=self.environment, stdout=subprocess.PIPE, text=True,
            check=True,
        )  # fmt: skip
        return ended.stdout

    @contextmanager
    def kafka(self) -> Iterator[str]:
        """A Kafka of one node. Gives its address."""
        broker = self.start("broker", "--port", "0", log="broker.log")
        try:
            said = until(lambda: (self._folder / "broker.log").read_text().split("bootstrap ")[1:])
            yield said[0].split()[0]
        finally:
            broker.send_signal(signal.SIGINT)
            broker.wait(PATIENCE_S)


class TakenGroup:
    """A group with topics of its own on a Kafka, and a worker that can be started and ended."""

    def __init__(
        self, code: Checkout, folder: Path, bootstrap: str, name: str, **more: object
    ) -> None:
        self.code, self.name, self.bootstrap = code, name, bootstrap
        self.topics = {
            "frames": f"{name}.frames",
            "predictions": f"{name}.predictions",
            "dead_letters": f"{name}.dlq",
            "state": f"{name}.state",
        }
        settings: dict[str, object] = {
            f"{role}_topic": topic for role, topic in self.topics.items()
        }
        del settings["state_topic"]
        settings |= {"bootstrap": bootstrap, "group": name, "start": "earliest", "metrics_port": 0}
        settings["session_timeout_s"] = SESSION_S
        self.file = folder / f"{name}.toml"
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in (settings | more).items()]
        self.file.write_text("".join(lines))
        code.run("topics", "create", "--config", self.file, "--partitions", str(PARTITIONS))
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)

    def worker(self) -> "subprocess.Popen[str]":
        """Start a worker in the group's only slot."""
        return self.code.start(
            "worker", "--config", self.file, "--slot", "golden", log=f"{self.name}.log"
        )

    def publish(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers, *, ms: int
    ) -> None:
        """Write a record of the frames topic."""
        self._producer.send(
            self.topics["frames"], key=key, value=value, headers=list(headers),
            partition=partition, timestamp_ms=ms,
        ).get(10)  # fmt: skip

    def settle(self) -> None:
        """Wait until the manifests stand where the frames end."""
        ends = {place.partition: end for place, end in self._ends("frames").items()}

        def settled() -> bool:
            return all(self._manifest(n).get("next_offset") == end for n, end in ends.items())

        until(settled)

    def end(self, worker: "subprocess.Popen[str]") -> None:
        """Tell a worker to stop, and wait for it."""
        worker.terminate()
        if worker.wait(PATIENCE_S) != 0:
            raise RuntimeError(f"the worker of {self.name} ended with {worker.returncode}")

    def records(self, role: str) -> Iterator[Any]:
        """All committed records of a topic."""
        ends = self._ends(role)
        with _consumer(self.bootstrap) as consumer:
            consumer.assign(list(ends))
            consumer.seek_to_beginning(*ends)
            while any((consumer.position(place) or 0) < end for place, end in ends.items()):
                for batch in consumer.poll(500).values():
                    yield from batch

    def bounds(self) -> dict[str, dict[str, list[int]]]:
        """Ends of every topic, by partition."""
        return {
            role: {str(p.partition): [0, end] for p, end in self._ends(role).items()}
            for role in self.topics
        }

    def _ends(self, role: str) -> dict[TopicPartition, int]:
        with _consumer(self.bootstrap) as consumer:
            numbers = consumer.partitions_for_topic(self.topics[role]) or ()
            places = [TopicPartition(self.topics[role], n) for n in sorted(numbers)]
            return dict(consumer.end_offsets(places))

    def _manifest(self, partition: int) -> dict[str, Any]:
        newest = b"{}"
        for record in self.records("state"):
            if record.partition == partition and record.key == b"m":
                newest = record.value
        found: dict[str, Any] = json.loads(newest)
        return found

    def close(self) -> None:
        """Close the producer."""
        self._producer.close(timeout=5)


@contextmanager
def _consumer(bootstrap: str) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        yield consumer
    finally:
        consumer.close(timeout_ms=2000)


def until(look: Callable[[], Any]) -> Any:
    """Look again and again until something is found."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s")
        time.sleep(0.1)
    return found


# --------------------------------------------------------------------------------- what is kept


def dump(group: TakenGroup, out: Path, **facts: object) -> None:
    """Write the topics of a group, one record a line, and what its own code says of them."""
    out.mkdir(parents=True)
    for role in ("predictions", "dead_letters", "state"):
        records = list(group.records(role))
        kept = needed(records) if role == "state" else records
        lines = [json.dumps(as_json(record), separators=(",", ":")) + "\n" for record in kept]
        (out / f"{role}.jsonl").write_text("".join(lines))
    delivery = str(facts["delivery"])
    words = ("audit", "--config", group.file, "--delivery", delivery, "--json")
    audit = json.loads(group.code.run(*words))
    said = {"topics": group.topics, "bounds": group.bounds(), "audit": audit}
    (out / "facts.json").write_text(json.dumps(said | facts, indent=1) + "\n")


def needed(records: Sequence[Any]) -> list[Any]:
    """All of a changelog but snapshots with tensors that a newer record has replaced."""
    newest = {(record.partition, record.key): record.offset for record in records}
    return [
        record
        for record in records
        if not (record.key.startswith(b"s:") and len(record.value or b"") > 100)
        or newest[record.partition, record.key] == record.offset
    ]


def as_json(record: Any) -> dict[str, Any]:
    """Write a record: text where it is text, else base64."""
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
        "key": _content(record.key),
        "value": _content(record.value),
        "headers": [[name, _content(content)] for name, content in record.headers],
    }


def _content(raw: bytes | None) -> dict[str, str] | None:
    if raw is None:
        return None
    if raw.isascii() and all(32 <= byte < 127 for byte in raw):
        return {"text": raw.decode()}
    return {"base64": base64.b64encode(raw).decode()}
