"""Views a camera through the product's own source, and compares each picture with the right one."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits, Transport
from tests.cameras.films import numbered

PATIENCE_S = 10.0

Seen = tuple[int | None, str]  # the number in a picture (None: unreadable), and its digest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the pictures that were sent, from the first to the last one that counts."""

    sent: int
    right: int
    wrong: int

    @property
    def left_out(self) -> int:
        return self.sent - self.right - self.wrong

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(self.sent + other.sent, self.right + other.right, self.wrong + other.wrong)


def viewing(url: str, transport: Transport) -> Iterator[Seen | None]:
    """Yield each picture that is handed on, and None for each that is left out."""
    how = Connecting(Limits(connect_s=PATIENCE_S, read_s=PATIENCE_S), transport)
    source = LiveSource(lambda: Address.of(url, {}), how, clock=SystemClock())
    pictures = source.pictures(threading.Event())
    assert isinstance(pictures, Generator)
    with closing(pictures), suppress(CameraLostError):
        for one in pictures:
            if isinstance(one, Picture):
                assert one.frame is not None
                yield numbered(one.frame)
            elif isinstance(one, PictureFate):
                yield None


def judged(seen: Sequence[Seen], right: Mapping[int, str], *, first: int, last: int) -> Verdict:
    """Compare what was handed on with the pictures from `first` to `last`.

    A picture that comes again, or after a later one, is wrong, and so is one that was never sent.
    """
    newest, good, wrong = -1, 0, 0
    for number, digest in seen:
        if number is None or number <= newest or right.get(number) != digest:
            wrong += 1
            continue
        newest = number
        good += first <= number <= last
    return Verdict(max(0, last + 1 - first), good, wrong)
