"""`python tests/golden/take.py CHECKOUT OUT`: run the code of a checkout, keep what it has written.

The code is run by its command line alone, on a local Kafka of its own, so that this script works
with the code of any commit that has these commands. README.md says when it was used.
"""

import argparse
import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from PIL import Image

HERE = Path(__file__).parent
PATIENCE_S = 60.0
PARTITIONS = 2
TTL_S = 20
SESSION_S = 6.0
Headers = Sequence[tuple[str, bytes]]


class Code:
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


class Group:
    """A group with topics of its own on a Kafka, and a worker that can be started and ended."""

    def __init__(self, code: Code, folder: Path, bootstrap: str, name: str, **more: object) -> None:
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
            while any(consumer.position(place) < end for place, end in ends.items()):
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


# --------------------------------------------------------------------------------- what happens


class Feed:
    """Frames of made-up streams, 100 ms apart, with everything that can become of a record."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._now_ms = round(time.time() * 1000) - 300_000
        self._seq = 0

    def rounds(self, count: int, streams: Mapping[str, int]) -> None:
        """A frame of each stream a round; `streams` says in which partition."""
        for _ in range(count):
            self._seq += 1
            self._now_ms += 100
            for stream, partition in streams.items():
                self.frame(partition, stream, seq=self._seq)

    def frame(
        self, partition: int, stream: str, *, seq: int, epoch: int = 1, content: bytes | None = None
    ) -> None:
        """One frame, now."""
        headers = [
            ("seq", str(seq).encode()),
            ("epoch", str(epoch).encode()),
            ("captured-at", f"{self._now_ms}.250".encode()),
            ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ]
        content = picture(seq) if content is None else content
        self._group.publish(partition, stream.encode(), content, headers, ms=self._now_ms)

    def end(self, partition: int, stream: str) -> None:
        """The stream ends."""
        self._group.publish(partition, stream.encode(), None, (), ms=self._now_ms)

    def pass_s(self, seconds: float) -> None:
        """Nothing comes for so long."""
        self._now_ms += round(seconds * 1000)

    def troubles(self, partition: int, stream: str) -> None:
        """A duplicate, a late frame, bad records of four kinds, a gap, another epoch."""
        self.frame(partition, stream, seq=self._seq)
        self.frame(partition, stream, seq=self._seq + 1, epoch=0)
        self.frame(partition, stream, seq=self._seq + 1, content=b"no picture")
        self._group.publish(partition, b"no stream!", picture(0), (), ms=self._now_ms)
        self._group.publish(partition, None, picture(0), (), ms=self._now_ms)
        bad = [("seq", b"seven")]
        self._group.publish(partition, stream.encode(), picture(0), bad, ms=self._now_ms)
        self.rounds(2, {stream: partition})
        self.pass_s(5)
        self.rounds(2, {stream: partition})
        self._now_ms += 100
        self.frame(partition, stream, seq=0, epoch=2)
        # this reset is owed: its frame is none, so the snapshot holds no tensors
        self.frame(partition, stream, seq=1, epoch=3, content=b"no picture either")


def picture(seed: int) -> bytes:
    """A JPEG of 32 x 32 pixels, another one for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((32, 32)).save(file, "JPEG", quality=60)
    return file.getvalue()


def run_exactly_once(group: Group) -> None:
    """Everything but overload: crashes, ends, dead letters, an eviction, a second life."""
    feed, streams = Feed(group), {"gate": 0, "yard": 0, "hall": 1}
    worker = group.worker()
    feed.rounds(2, streams | {"leaves": 0})
    feed.rounds(6, streams)
    group.settle()
    worker.kill()
    worker.wait()
    feed.rounds(4, streams)
    worker = group.worker()
    feed.troubles(0, "yard")
    feed.rounds(2, {"hall": 1})
    feed.end(1, "hall")
    feed.rounds(3, {"lobby": 1})
    feed.pass_s(60)
    for _ in range(TTL_S):  # of the log's own time, until `leaves` is forgotten
        time.sleep(1)
        feed.rounds(1, {"gate": 0, "lobby": 1})
    feed.troubles(0, "yard")
    group.settle()
    group.end(worker)
    time.sleep(SESSION_S + 2)  # a static member stays one until its session is over
    words = ("reset", "partition", "1", "--to", "8", "--yes")
    group.code.run(*words, "--config", group.file)
    worker = group.worker()
    group.settle()
    feed.rounds(1, {"lobby": 1})
    feed.end(1, "lobby")
    group.settle()
    group.end(worker)


def run_latest(group: Group, code: Code) -> None:
    """Real cameras faster than the engine, a worker that leaves out frames and crashes once."""
    worker = group.worker()
    until(lambda: len(list(group.records("state"))) >= PARTITIONS)
    _film(group, code, "gate", "2")
    until(lambda: len(list(group.records("predictions"))) >= PARTITIONS)
    worker.kill()  # between two checkpoints: some predictions are repeated
    worker.wait()
    before = len(list(group.records("state")))
    worker = group.worker()
    until(lambda: len(list(group.records("state"))) >= before + PARTITIONS)
    _film(group, code, "market", "3")
    group.settle()
    group.end(worker)


def _film(group: Group, code: Code, name: str, fps: str) -> None:
    clip = code.checkout / "pipeline" / "samples" / f"{name}.mp4"
    code.run(
        *("camera", clip, "--stream", name, "--no-realtime", "--fps", fps, "--size", "96x96"),
        *("--bootstrap", group.bootstrap, "--topic", group.topics["frames"]),
    )


# --------------------------------------------------------------------------------- what is kept


def dump(group: Group, out: Path, **facts: object) -> None:
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


def take_spool(code: Code, folder: Path, out: Path) -> None:
    """Two cameras whose broker is away, until they are told to stop."""
    settings = folder / "cameras.toml"
    samples = code.checkout / "pipeline" / "samples"
    settings.write_text(
        f'bootstrap = "127.0.0.1:1"\nspool = "{folder / "spool.db"}"\nmetrics_port = 0\n'
        '[defaults]\nfps = 3\nsize = "64x64"\nquality = 40\n'
        + "".join(
            f'[camera.{n}]\nurl = "{samples / n}.mp4"\nloop = true\n' for n in ("gate", "yard")
        )
    )
    camera = code.start("camera", "--config", settings, log="camera.log")
    time.sleep(8)
    camera.terminate()
    camera.wait(PATIENCE_S)
    shutil.copy(folder / "spool.db", out / "spool.db")


def main() -> None:
    """Take all golden files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train-python", type=Path, help="an interpreter that has PyTorch")
    asked = parser.parse_args()
    out = asked.out.absolute()
    with tempfile.TemporaryDirectory(prefix="longtake-golden-") as name:
        folder = Path(name)
        code = Code(asked.checkout.absolute(), folder)
        seed = folder / "seed"
        code.run("bundle", "seed", seed)
        with code.kafka() as bootstrap:
            exact = Group(
                code, folder, bootstrap, "exact", bundle=str(seed), stream_ttl_s=TTL_S,
                checkpoint_s=0.5,
            )  # fmt: skip
            run_exactly_once(exact)
            dump(exact, out / "exactly_once", delivery="exactly_once", bundle="seed")
            exact.close()
            latest = Group(
                code, folder, bootstrap, "latest", bundle="actions", checkpoint_s=4,
                delivery="low_latency", overload="latest",
            )  # fmt: skip
            run_latest(latest, code)
            dump(latest, out / "low_latency", delivery="low_latency", bundle="actions")
            latest.close()
        take_spool(code, folder, out)
        code.inside("verdicts", folder / "cache", out / "verdicts")
        code.inside("plans", out / "plans")
        if asked.train_python is not None:
            code.inside("training", out / "training", python=asked.train_python.absolute())


if __name__ == "__main__":
    main()
