"""The contracts of training on videos: labelled videos come in, progress goes out."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.model.inputs import Pixels
from engines.train.pictures import Input

UNLABELLED = -1  # the frame steps the memory and has no loss


class TrainingVideo(Protocol):
    """One video: one stream, or several if it has gaps."""

    @property
    def name(self) -> str:
        """The name for messages."""

    @property
    def digest(self) -> str:
        """Identifies the content; files that are computed from it are named by this."""

    @property
    def validation(self) -> bool:
        """Whether it is for validation only, and never trained on."""

    def frames(self, shape: Input, /) -> Iterator[tuple[int, Pixels]]:
        """Yield the time in microseconds and the pixels (H, W, 3) of each frame."""

    def labels_at(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class of each frame: times (T,) -> labels (T,), -1 without a label."""


class TrainingFootage(Protocol):
    """All videos of a run, for training and for validation."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def digest(self) -> str:
        """Identifies the videos, their labels, and which of them are for validation."""

    @property
    def videos(self) -> Sequence[TrainingVideo]:
        """The videos, in the same order in every run."""


class StageReport(Protocol):
    """Shows the user the progress of a long job, one task at a time."""

    def begin(self, what: str, total: int) -> None:
        """Begin a task of `total` steps; the task before it is over."""

    def reach(self, done: int, words: str = "") -> None:
        """Set how many steps are done."""

    def say(self, line: str) -> None:
        """Print a line that stays on the screen."""


StateDict = dict[str, Any]  # PyTorch: name -> tensor or plain value


class FailureError(Exception):
    """Training cannot begin or go on. The message says why, and what may help."""
