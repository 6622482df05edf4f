"""What the page remembers of one stream's past: a moment a second, and the marks in its chain."""

from collections import deque
from dataclasses import dataclass

from pipeline.judging.chain import Link
from pipeline.records import Reset
from pipeline.wire.predictions import Prediction

MOST_MOMENTS = 180  # seconds of one stream
MOST_MARKS = 30
MOST_SCORES = 8  # of one moment: the best ones
STRIP_S = 60
LABEL_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Moment:
    """The last prediction of one second of a stream's own time."""

    second: int
    label: str
    confidence: float
    scores: tuple[tuple[str, float], ...]
    partition: int
    offset: int
    chain: str

    @classmethod
    def of(cls, said: Prediction) -> "Moment":
        """Keep what is shown of a prediction. Long labels are cut."""
        best = sorted(said.scores.items(), key=lambda one: -one[1])[:MOST_SCORES]
        return cls(
            second=int(said.captured_s),
            label=shortened(said.label),
            confidence=said.confidence,
            scores=tuple((shortened(label), score) for label, score in best),
            partition=said.partition,
            offset=said.offset,
            chain=said.chain,
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """A reset of a stream's memory, or a fault of its chain. `frames`: what it had remembered."""

    what: str
    captured_at: str
    frames: int | None
    partition: int
    offset: int
    chain: str
    broken: bool


class Past:
    """The newest moments and marks of a stream, limited in number."""

    def __init__(self) -> None:
        self.moments: deque[Moment] = deque(maxlen=MOST_MOMENTS)
        self.marks: deque[Mark] = deque(maxlen=MOST_MARKS)
        self.resets = 0
        self.breaks = 0
        self._frames: int | None = None

    def follow(self, link: Link, said: Prediction) -> None:
        """Add the next prediction. A second that has come before is replaced, not repeated."""
        moment = Moment.of(said)
        while self.moments and self.moments[-1].second >= moment.second:
            self.moments.pop()  # the same second, or time went backwards
        self.moments.append(moment)
        if said.reset is not None:
            self.resets += said.reset is not Reset.NEW
            self._mark(f"reset: {said.reset}", said, broken=False)
        if link.fault is not None:
            self.breaks += 1
            self._mark(f"chain broken: {link.complaint}", said, broken=True)
        self._frames = said.frames

    def _mark(self, what: str, said: Prediction, *, broken: bool) -> None:
        self.marks.append(
            Mark(
                what,
                said.captured_at,
                self._frames,
                said.partition,
                said.offset,
                said.chain,
                broken,
            )
        )

    def strip(self) -> list[str | None]:
        """Return the labels of the last STRIP_S seconds, the oldest first; None where none came."""
        if not self.moments:
            return [None] * STRIP_S
        by_second = {one.second: one.label for one in self.moments}
        newest = self.moments[-1].second
        return [by_second.get(second) for second in range(newest - STRIP_S + 1, newest + 1)]


def shortened(label: str) -> str:
    """Cut a label to what a tile has room for."""
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"
