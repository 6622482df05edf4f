"""Footage without files: a bright bar that moves left, moves right or rests, frame by frame.

No single frame tells which. `Interrupted` ends a run as a kill would: where nobody expects it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.train.pictures import Input

STEPS = {"left": -2, "rest": 0, "right": 2}  # pixels a frame
PERIOD_US = 100_000


@dataclass(frozen=True)
class Moving:
    """A video of one class, but that its last third is unlabelled."""

    label: int
    seed: int
    length: int = 24
    validation: bool = False
    gap_at: int | None = None
    watched: list[str] = field(default_factory=list)  # one entry for each time it is decoded

    @property
    def name(self) -> str:
        return f"{list(STEPS)[self.label]}-{self.seed}"

    @property
    def digest(self) -> str:
        return f"{self.name}-{self.length}-{self.gap_at}"

    def frames(self, shape: Input, /) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        self.watched.append(self.name)
        x = int(np.random.default_rng(self.seed).integers(shape.width))
        step = list(STEPS.values())[self.label]
        for t in range(self.length):
            pixels = np.full((shape.height, shape.width, 3), 40, np.uint8)
            pixels[:, (x + t * step + np.arange(8)) % shape.width] = 220
            late = 0 if self.gap_at is None or t < self.gap_at else 3_000_000
            yield t * PERIOD_US + late, pixels

    def labels_at(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(np.arange(len(times_us)) < self.length * 2 // 3, self.label, -1)


@dataclass(frozen=True)
class MovingFootage:
    videos: Sequence[Moving]
    name: str = "moving"
    labels: tuple[str, ...] = tuple(STEPS)
    digest: str = "moving"


def moving(*, videos: int, validation: int = 2, length: int = 24) -> MovingFootage:
    """So many videos of each class, some of them to test on."""
    return MovingFootage(
        [
            Moving(label, seed, length, validation=seed < validation)
            for label in range(len(STEPS))
            for seed in range(videos)
        ]
    )


class Silence:
    """A report that nobody reads; `lines` holds what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, what: str, total: int) -> None:
        """See `Report`."""

    def reach(self, done: int, words: str = "") -> None:
        """See `Report`."""

    def say(self, line: str) -> None:
        self.lines.append(line)


class Interrupted(Silence):
    """Ends the run when it hears of progress for the nth time."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def reach(self, done: int, words: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
