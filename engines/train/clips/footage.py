"""What training needs of labelled videos, and of whoever tells the user how far it is."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.model.inputs import Pixels
from engines.train.pictures import Input

UNLABELLED = -1  # no loss, but the frame steps the memory


class TrainingVideo(Protocol):
    """One video that is one stream, but for its gaps."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def digest(self) -> str:
        """Tells the content: what is computed from it is kept under this."""

    @property
    def validation(self) -> bool:
        """Whether it is tested on, never trained."""

    def frames(self, shape: Input, /) -> Iterator[tuple[int, Pixels]]:
        """Give the time in microseconds and the pixels (H, W, 3) of each frame to step."""

    def labels_at(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell which class each frame (T,) shows, -1 where nobody said."""


class TrainingFootage(Protocol):
    """All that there is to train and to test on."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def digest(self) -> str:
        """Tells the videos, what they show and which side they are on."""

    @property
    def videos(self) -> Sequence[TrainingVideo]:
        """In an order that does not change from run to run."""


class StageReport(Protocol):
    """Hears how far a long job is. One task at a time."""

    def begin(self, what: str, total: int) -> None:
        """Begin a task of so many steps, instead of the one before."""

    def reach(self, done: int, words: str = "") -> None:
        """So many of them are done."""

    def say(self, line: str) -> None:
        """Something to be read in peace."""


StateDict = dict[str, Any]  # a state dict


class FailureError(Exception):
    """Training cannot begin or go on. The message says why, and what may help."""
