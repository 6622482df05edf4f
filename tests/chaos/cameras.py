"""Cameras that misbehave, and that record every frame which the log has acknowledged."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from tests.chaos.clips import cut_pictures
from tests.chaos.oracle import Taken

BEGIN_MS = 1_700_000_000_000
HOUR_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A record that a camera sends: a picture, or something else in its place."""

    value: bytes | None
    headers: dict[str, bytes]


class Camera:
    """One stream's frames, good and bad, all from one seed.

    Some cameras send no capture times, some no sequence numbers, some no epochs. `troubles` sets
    the weight of each kind of trouble, against 60 good frames; `told` counts them.
    """

    def __init__(
        self, number: int, pictures: Sequence[bytes], *, seed: int, troubles: Mapping[str, float]
    ) -> None:
        self.stream = f"cam-{number}"
        self._kinds, self._weights = ["", *troubles], [60.0, *troubles.values()]
        self.told: Counter[str] = Counter()
        self._rng = random.Random(f"{seed}/{number}")  # noqa: S311 - a schedule, not a secret
        self._pictures = pictures
        self._step_ms = 1000 / (8, 12, 15, 20, 25)[number % 5]
        self._timed, self._counted, self._lived = number % 6 != 5, number % 8 != 1, number % 4 != 3
        self._seq, self._epoch, self._clock_ms = 0, 1, float(BEGIN_MS)
        self._shown, self._skew_ms, self._skewed = number, 0.0, 0
        self._sent: list[Shot] = []

    def shoot(self) -> list[Shot]:
        """Return the next frames: usually one."""
        kind = self._rng.choices(self._kinds, self._weights)[0]
        if kind:
            self.told[kind] += 1
        shots = self._troubled(kind)
        self._sent = [*self._sent, *shots][-6:]
        return shots

    def _troubled(self, kind: str) -> list[Shot]:
        """Return frames with one kind of trouble, "" for none."""
        if kind == "repeat":
            return self._sent[-1:]
        if kind == "resend":
            return self._sent[-5:]
        if kind == "end":
            return [Shot(None, {})]
        if kind == "burst":
            return [self._frame() for _ in range(self._rng.randint(5, 12))]
        frame = self._frame()
        if kind == "half" and frame.value is not None:
            return [Shot(frame.value[: len(frame.value) // 2], frame.headers)]
        if kind == "garbage":
            return [Shot(self._rng.randbytes(300), frame.headers)]
        if kind == "header":
            return [Shot(frame.value, frame.headers | {"seq": b"seven"})]
        if kind == "late":
            return [Shot(frame.value, frame.headers | {"epoch": b"%d" % max(0, self._epoch - 1)})]
        self._shift(kind)
        return [frame]

    def _shift(self, kind: str) -> None:
        """Change something about this camera, from the next frame on."""
        if kind == "restart":
            self._epoch, self._seq = self._epoch + 1, 0
        elif kind == "gap":
            self._clock_ms += 2500
        elif kind == "backwards":
            self._clock_ms -= 200
        elif kind == "clock":
            self._skew_ms = self._rng.choice([-1, 1]) * HOUR_MS
            self._skewed = self._rng.randint(1, 6)

    def _frame(self) -> Shot:
        self._clock_ms += self._step_ms * self._rng.uniform(0.9, 1.1)
        self._shown += 1
        skew_ms = self._skew_ms if self._skewed > 0 else 0.0
        self._skewed -= 1
        headers = {"content-type": b"image/jpeg"}
        if self._timed:
            headers["captured-at"] = b"%.3f" % (self._clock_ms + skew_ms)
        if self._counted:
            headers["seq"] = b"%d" % self._seq
        if self._lived:
            headers["epoch"] = b"%d" % self._epoch
        self._seq += 1
        return Shot(self._picture(), headers)

    def _picture(self) -> bytes:
        """Return the picture that is shown now."""
        return self._pictures[self._shown % len(self._pictures)]


NO_TROUBLES: Mapping[str, float] = {}
TROUBLES: Mapping[str, float] = {
    "repeat": 2, "resend": 1, "half": 1, "garbage": 1, "header": 0.5, "late": 1, "end": 0.5,
    "burst": 0.7, "restart": 1, "gap": 1, "backwards": 1, "clock": 0.7,
}  # fmt: skip


def picture_cameras(streams: int, *, seed: int, troubles: Mapping[str, float]) -> list[Camera]:
    """Return cameras that publish JPEGs."""
    pictures = cut_pictures()
    return [
        Camera(n, pictures[n % len(pictures)], seed=seed, troubles=troubles) for n in range(streams)
    ]


class Cameras:
    """All cameras, in a thread of their own, `fps` frames a second in total.

    They connect to brokers directly, with `acks=all`. `taken` has the acknowledged frames, also
    written to `diary`; `unknown` counts the frames without any answer.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        bootstrap: str,
        topic: str,
        *,
        partitions: int,
        fps: float,
        diary: Path,
    ) -> None:
        self.cameras = cameras
        self.taken: list[Taken] = []
        self.unknown = 0
        self.silent: set[str] = set()  # these are switched off
        self._topic, self._partitions, self._fps = topic, partitions, fps
        self._diary = diary.open("w")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._film, name="cameras", daemon=True)
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            linger_ms=5,
            batch_size=1 << 20,
            delivery_timeout_ms=120_000,
            request_timeout_ms=10_000,
            reconnect_backoff_max_ms=500,
            retry_backoff_ms=50,
        )

    def start(self) -> None:
        """Start publishing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until the log has answered for every frame."""
        self._stop.set()
        self._thread.join()
        self._producer.flush(timeout=120)
        self._producer.close(timeout=5)
        self._diary.close()

    @property
    def told(self) -> Counter[str]:
        """The counts of the troubles caused on purpose."""
        return sum((camera.told for camera in self.cameras), Counter())

    def _film(self) -> None:
        due_s = time.monotonic()
        for number, camera in self._turns():
            if camera.stream in self.silent:
                continue
            shots = camera.shoot()
            for shot in shots:
                self._send(number % self._partitions, camera.stream, shot)
            due_s = max(due_s + len(shots) / self._fps, time.monotonic() - 1)
            if self._stop.wait(max(0.0, due_s - time.monotonic())):
                return

    def _turns(self) -> Iterator[tuple[int, Camera]]:
        while not self._stop.is_set():
            yield from enumerate(self.cameras)

    def _send(self, partition: int, stream: str, shot: Shot) -> None:
        headers = list(shot.headers.items())
        sending = self._producer.send(
            self._topic, key=stream.encode(), value=shot.value, headers=headers, partition=partition
        )
        sending.add_callback(self._acknowledged, stream, shot)
        sending.add_errback(self._failed)

    def _acknowledged(self, stream: str, shot: Shot, place: Any) -> None:
        taken = Taken(
            stream, place.partition, place.offset, place.timestamp, shot.value, shot.headers
        )
        self.taken.append(taken)
        words = {
            "stream": stream, "partition": place.partition, "offset": place.offset,
            "timestamp_ms": place.timestamp,
            "sha256": None if shot.value is None else sha256(shot.value).hexdigest(),
            "headers": {name: value.decode() for name, value in shot.headers.items()},
        }  # fmt: skip
        self._diary.write(json.dumps(words) + "\n")

    def _failed(self, exc: BaseException) -> None:
        del exc
        self.unknown += 1
