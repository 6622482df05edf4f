"""`python -m tests.golden.take CHECKOUT OUT`: run the code of a checkout, keep what it writes.

The code is run by its command line alone, on a local Kafka of its own, so that this works with
every commit that has these commands. README.md says when it was used.
"""

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.golden.checkout import (
    PARTITIONS,
    PATIENCE_S,
    SESSION_S,
    Checkout,
    TakenGroup,
    dump,
    until,
)

TTL_S = 20


class MadeUpFeed:
    """Frames of made-up streams, 100 ms apart, with everything that can become of a record."""

    def __init__(self, group: TakenGroup) -> None:
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


def run_exactly_once(group: TakenGroup) -> None:
    """Everything but overload: crashes, ends, dead letters, an eviction, a second life."""
    feed, streams = MadeUpFeed(group), {"gate": 0, "yard": 0, "hall": 1}
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


def run_latest(group: TakenGroup, code: Checkout) -> None:
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


def _film(group: TakenGroup, code: Checkout, name: str, fps: str) -> None:
    clip = code.checkout / "pipeline" / "samples" / f"{name}.mp4"
    code.run(
        *("camera", clip, "--stream", name, "--no-realtime", "--fps", fps, "--size", "96x96"),
        *("--bootstrap", group.bootstrap, "--topic", group.topics["frames"]),
    )


def take_spool(code: Checkout, folder: Path, out: Path) -> None:
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
        code = Checkout(asked.checkout.absolute(), folder)
        seed = folder / "seed"
        code.run("bundle", "seed", seed)
        with code.kafka() as bootstrap:
            exact = TakenGroup(
                code, folder, bootstrap, "exact", bundle=str(seed), stream_ttl_s=TTL_S,
                checkpoint_s=0.5,
            )  # fmt: skip
            run_exactly_once(exact)
            dump(exact, out / "exactly_once", delivery="exactly_once", bundle="seed")
            exact.close()
            latest = TakenGroup(
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
