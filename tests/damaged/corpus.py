"""Damaged records between the records of good cameras. A seed reproduces them all."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from random import Random

from pipeline.records import MAX_HEADERS, Headers
from tests.clusters import NoText
from tests.damaged.mutations import mutate
from tests.damaged.seeds import bombs, whole
from tests.pipeline.pictures import jpeg

DAMAGED = 2000
OVERSIZED_BYTES = (8 << 20) + 1  # one more than a worker accepts by default
PARTITIONS = 3
GOOD = tuple(f"good-{number}" for number in range(PARTITIONS))
GOOD_EVERY = 10  # records of bad cameras to one of each good camera
PERIOD_MS = 100
STARTED_MS = 1_700_000_000_000

NUMBERS = (
    b"",
    b"-1",
    b"1e9",
    b"0x10",
    b"nan",
    b"9" * 18,
    b"9" * 19,
    b"9" * 9_000,
    b"1.5.2",
    b"\xff",
)
TYPES = (b"", b"image/png", b"image/jpeg", b"text/html", b"video/h264", b"\xff\xfe", b"x" * 70_000)
KEYS = (None, b"", b"\xff\xfe", "kamera-ü".encode(), b"a/b", b"k" * 201, b"k" * 900_000, b"\0")
OTHER = (
    b"",
    b"\0",
    b"<html>502 Bad Gateway</html>",
    b"GIF89a" + bytes(40),
    b"BM" + bytes(100),
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\xff\xff\xff\xffWEBP",
    b"\0\0\0\x01\x67\x42\0\x1e",  # H.264 instead of a picture
    bytes(100_000),
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One record, and the damage in it."""

    wrong: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@cache
def standard() -> tuple[Sent, ...]:
    """Return the records that the tests send."""
    return tuple(records(1, DAMAGED, oversized_bytes=OVERSIZED_BYTES))


def records(seed: int, damaged: int, *, oversized_bytes: int) -> Iterator[Sent]:
    """Yield `damaged` records of ten bad cameras, with records of good cameras between them."""
    rng = Random(seed)  # noqa: S311 - reproducible on purpose
    frame = 0
    for number, sent in enumerate(_damaged(rng, damaged, oversized_bytes)):
        if number % GOOD_EVERY == 0:
            yield from (_good(partition, frame) for partition in range(PARTITIONS))
            frame += 1
        yield sent


def _good(partition: int, frame: int) -> Sent:
    captured = b"%d" % (STARTED_MS + frame * PERIOD_MS)
    headers = (("captured-at", captured), ("seq", b"%d" % frame))
    return Sent("nothing", partition, GOOD[partition].encode(), jpeg(32, 32, seed=frame), headers)


def _damaged(rng: Random, count: int, oversized_bytes: int) -> Iterator[Sent]:
    """Yield every entry of every list once, then mutated pictures."""
    listed = list(_listed(oversized_bytes))
    rng.shuffle(listed)
    pictures = cycle(whole().items())
    places = set(rng.sample(range(count), len(listed)))
    for number in range(count):
        if number in places:
            yield listed.pop()
            continue
        kind, picture = next(pictures)
        camera = rng.randrange(10)
        headers = (("seq", b"%d" % number),) if camera % 2 else ()
        yield Sent(
            f"mutated {kind}", camera % PARTITIONS, _bad(camera), mutate(picture, rng), headers
        )


def _listed(oversized_bytes: int) -> Iterator[Sent]:
    picture = whole()["jpeg"]
    for number, (name, content) in enumerate(bombs().items()):
        yield Sent(f"bomb: {name}", number % PARTITIONS, b"bomber-%d" % number, content)
    for name in ("captured-at", "seq", "epoch"):
        for text in NUMBERS:
            yield Sent(f"header {name}", 1, _bad(7), picture, ((name, text),))
    for text in TYPES:
        yield Sent("content type", 0, _bad(3), picture, (("content-type", text),))
    for number, key in enumerate(KEYS):
        yield Sent("key", number % PARTITIONS, key, picture)
        if key is not None:  # kafka-python sends no record with neither key nor value
            yield Sent("key, and null", number % PARTITIONS, key, None)
    for content in OTHER:
        yield Sent("no picture", 1, _bad(1), content)
    many = tuple((f"h{number}", b"") for number in range(MAX_HEADERS + 1))
    yield Sent("headers", 0, _bad(3), picture, many)
    yield Sent("header name", 0, _bad(3), picture, ((NoText("name"), b"1"),))
    yield Sent("header flood", 0, _bad(3), picture, (("", b""),) * 300_000)
    yield Sent("traceparent", 0, _bad(3), picture, (("traceparent", b"0" * 500_000),))
    yield Sent("empty headers", 0, _bad(3), picture, (("seq", b""), ("", b"")))
    yield Sent("end", 1, _bad(1), None, (("seq", b"soon"),))
    yield Sent("end", 1, _bad(1), None)
    yield Sent("oversized", 2, _bad(2), bytes(oversized_bytes))


def _bad(camera: int) -> bytes:
    return b"bad-%d" % camera
