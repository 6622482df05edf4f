"""Cameras that publish H.264, mixed with pictures, with every kind of loss and damage."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from pipeline.records import Headers
from tests.pipeline.media.video.encoding import encoded
from tests.properties.test_alone import STREAMS
from tests.world import POISON, World

GROUP = 6
TROUBLE_OF = 8  # one record of so many, on average
TROUBLES = (
    *("lost", "lost and counted", "cut", "flipped", "repeated", "repeated group", "swapped"),
    *("joined", "picture", "poison", "garbage", "end", "malformed", "restarted", "old epoch"),
    *("without sets", "without numbers"),
)
Value = tuple[bytes | None, Headers]


@dataclass(frozen=True)
class Shoot:
    """One event of a camera. `number` decides what is left open: which bit, how many units."""

    stream: int
    kind: str
    number: int
    gap_ms: float


def shots_of(seed: int, count: int) -> list[Shoot]:
    """Drawn by a seed: hypothesis alone draws so much trouble that no chain gets long."""
    rng = Random(seed)  # noqa: S311 - reproducible on purpose
    return [
        Shoot(
            stream=rng.randrange(len(STREAMS)),
            kind="unit" if rng.randrange(TROUBLE_OF) else rng.choice(TROUBLES),
            number=rng.getrandbits(32),
            gap_ms=66.7 if rng.randrange(4) else rng.choice([33.3, 20, 70, 400, 3000, -500]),
        )
        for _ in range(count)
    ]


bursts = st.builds(shots_of, st.integers(0, 2**32 - 1), st.integers(1, 30))


def film_of(stream: str) -> tuple[bytes, ...]:
    name = {"a": "cabac", "b": "cavlc", "c": "slices"}[stream]
    return encoded(name, more=f"keyint={GROUP}:min-keyint={GROUP}")


class FilmCameras:
    """Publishes the schedule's records."""

    def __init__(self, world: World, partitions: int) -> None:
        self._world = world
        self._partitions = partitions
        self._at: Counter[str] = Counter()  # the next unit of the stream's film
        self._seq: Counter[str] = Counter()
        self._epoch: Counter[str] = Counter()
        self._times_ms = dict.fromkeys(STREAMS, 1_700_000_000_000.0)
        self._past: dict[str, list[Value]] = {name: [] for name in STREAMS}

    def publish(self, shoot: Shoot) -> None:
        name = STREAMS[shoot.stream]
        if shoot.kind in ("repeated", "repeated group"):
            count = 1 if shoot.kind == "repeated" else 1 + shoot.number % GROUP
            for value in self._past[name][-count:]:
                self._send(name, value)
        elif shoot.kind == "swapped":
            later, earlier = (self._next(name, shoot) for _ in range(2))
            for value in (earlier, later):
                self._send(name, value)
        else:
            value = self._next(name, shoot)
            self._past[name].append(value)
            self._send(name, value)

    def _next(self, name: str, shoot: Shoot) -> Value:
        film, kind, number = film_of(name), shoot.kind, shoot.number
        if kind == "end":
            return None, ()
        if kind == "restarted":  # with any unit of its film
            self._epoch[name] += 1
            self._seq[name], self._at[name] = 0, number % len(film)
        if kind.startswith("lost"):
            self._at[name] += 1 + number % 2
        if kind == "lost and counted":
            self._seq[name] += 1
        unit = film[self._at[name] % len(film)]
        self._at[name] += 1
        self._seq[name] += 1
        self._times_ms[name] += shoot.gap_ms
        return self._value(name, unit, kind, number), self._headers(name, kind)

    def _value(self, name: str, unit: bytes, kind: str, number: int) -> bytes:
        if kind == "cut":
            return unit[: 1 + number % len(unit)]
        if kind == "flipped":
            changed = bytearray(unit)
            changed[number // 8 % len(unit)] ^= 1 << number % 8
            return bytes(changed)
        if kind == "joined":
            self._at[name] += 1
            return unit + film_of(name)[(self._at[name] - 1) % len(film_of(name))]
        if kind == "without sets":
            return unit[unit.find(b"\x00\x00\x01\x65") :] if b"\x00\x00\x01\x65" in unit else unit
        plain = {"picture": b"%d" % (number % 256), "poison": POISON, "garbage": b"\x00" * 9}
        return plain.get(kind, unit)

    def _headers(self, name: str, kind: str) -> Headers:
        if kind == "without numbers":
            return (("content-type", b"video/h264"),)
        numbers = (
            ("seq", b"three" if kind == "malformed" else b"%d" % self._seq[name]),
            ("captured-at", b"%.3f" % self._times_ms[name]),
            ("epoch", b"%d" % max(0, self._epoch[name] - (kind == "old epoch"))),
        )
        kinds = {"picture": b"image/jpeg", "poison": b"image/jpeg"}
        return (*numbers, ("content-type", kinds.get(kind, b"video/h264")))

    def _send(self, name: str, value: Value) -> None:
        number = STREAMS.index(name) % self._partitions
        self._world.log.publish(number, name.encode(), *value)
