"""Hostile producers, one kind each: `python -m tests.fire.hostile KIND BOOTSTRAP TOPIC`.

Each sends as fast as it can until it is killed, to the frames topic and nowhere else.
"""

import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from kafka import KafkaProducer
from kafka.errors import KafkaError
from PIL import Image

Sent = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]  # key, value, headers
BIG = (8192, 4096)
WITHIN = (3840, 2160)  # a picture that is allowed, and costs as much as one may
NEVER_MS = 3_600_000
LINES = 5000  # of headers, all that fit


def picture(kind: str, size: tuple[int, int], **how: object) -> bytes:
    """Encode a picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind, **how)
    return out.getvalue()


def one(key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> Iterator[Sent]:
    return itertools.repeat((key, value, headers))


def huge_pictures() -> Iterator[Sent]:
    """A few bytes that unpack to 33 million pixels."""
    return one(b"bomber", picture("WEBP", BIG, lossless=True, method=0), [])


def costly_pictures() -> Iterator[Sent]:
    """As costly as the limit allows, a few hundred bytes each."""
    return one(b"bomber", picture("WEBP", WITHIN, lossless=True, method=0), [])


def costly_streams() -> Iterator[Sent]:
    """The same from fifty streams."""
    value = picture("WEBP", WITHIN, lossless=True, method=0)
    return ((b"bomber-%d" % (n % 50), value, []) for n in itertools.count())


def new_streams() -> Iterator[Sent]:
    """A good picture, each time of a new stream."""
    value = picture("JPEG", (64, 64))
    return ((b"new-%d-%d" % (os.getpid(), n), value, []) for n in itertools.count())


def garbage() -> Iterator[Sent]:
    """One byte, each time of a new stream."""
    return ((b"garbage-%d" % n, b"x", []) for n in itertools.count())


def ends() -> Iterator[Sent]:
    """The end of a stream, each time of one that has sent nothing before."""
    return ((b"gone-%d" % n, None, []) for n in itertools.count())


def big_garbage() -> Iterator[Sent]:
    """As many bytes as a record may have, and no picture."""
    return one(b"big", os.urandom(8_300_000), [])


def headers() -> Iterator[Sent]:
    """More headers than anybody needs."""
    return one(b"headed", b"x", [(f"h{n}", b"v" * 50) for n in range(LINES)])


def names() -> Iterator[Sent]:
    """Keys that are no names: escapes, newlines, wrong UTF-8, a hundred kilobytes."""
    return (
        (key, b"x", []) for key in itertools.cycle((b"\x1b[2J", b"a\nb", b"\xff", b"k" * 10**5))
    )


def truncated() -> Iterator[Sent]:
    """Half a picture."""
    whole = picture("JPEG", (1280, 720), quality=95)
    return one(b"half", whole[: len(whole) // 2], [])


def packed() -> Iterator[Sent]:
    """Zeros that compress a thousand times: a batch of some kilobytes unpacks to 300 MB."""
    return one(b"packed", bytes(8_000_000), [])


KINDS: Mapping[str, Callable[[], Iterator[Sent]]] = MappingProxyType(
    {
        kind.__name__.replace("_", "-"): kind
        for kind in (
            *(huge_pictures, costly_pictures, costly_streams, new_streams, garbage, ends),
            *(big_garbage, headers, names, truncated, packed),
        )
    }
)


def main(kind: str, bootstrap: str, topic: str) -> None:
    """Send until killed."""
    os.nice(19)  # a producer has a machine of its own; here it must not take our cores
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks=1,
        max_request_size=9 << 20,
        batch_size=1 << 18,
        linger_ms=5,
        compression_type="gzip" if kind == "packed" else None,
        delivery_timeout_ms=NEVER_MS,
    )
    for key, value, more in KINDS[kind]():
        try:
            producer.send(topic, key=key, value=value, headers=more)
        except KafkaError as exc:
            print(f"{kind}: {exc!r}", file=sys.stderr)  # noqa: T201 - a child's log


if __name__ == "__main__":
    main(*sys.argv[1:])
