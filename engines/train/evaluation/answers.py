"""Answers and true labels frame by frame: the input of every metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Ints = NDArray[np.int64]
D = TypeVar("D", bound=np.generic)

UNKNOWN = -1  # the label of frames without one, and of those after the end of a shorter stream
AFTER_S = 1.0  # since the action began: from then on a memory should have recognised it


@dataclass(frozen=True, slots=True)
class Answers:
    """T frames of N streams side by side. Frames whose truth is -1 are in no metric."""

    scores: Float64s  # (T, N, K)
    truth: Ints  # (T, N)
    onsets: Ints  # (T, N), frames since the action began: 0 at its first frame
    rate_hz: float

    @property
    def labels(self) -> Ints:
        """The answered labels (T, N): the largest score, ties to the first label."""
        labels: Ints = self.scores.argmax(-1)
        return labels

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which frames (T, N) are labelled."""
        return np.asarray(self.truth != UNKNOWN)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which frames (T, N) were answered right."""
        return np.asarray(self.labels == self.truth)

    @property
    def late(self) -> NDArray[np.bool_]:
        """Which frames (T, N) are labelled and a second or more into their action."""
        return np.asarray(self.known & (self.onsets >= AFTER_S * self.rate_hz))


def count_onsets(labels: Ints) -> Ints:
    """Labels (T,) of one stream -> frames since each label began (T,)."""
    frames = np.arange(len(labels))
    began = np.append(True, labels[1:] != labels[:-1])[: len(labels)]
    return frames - np.maximum.accumulate(np.where(began, frames, 0))


def side_by_side(streams: Sequence[NDArray[D]], *, fill: float) -> NDArray[D]:
    """N arrays (T_n, ...) of different lengths -> (T, N, ...), the shorter ones filled up."""
    longest = max(len(stream) for stream in streams)
    shape = (longest, len(streams), *streams[0].shape[1:])
    joined = np.full(shape, fill, streams[0].dtype)
    for n, stream in enumerate(streams):
        joined[: len(stream), n] = stream
    return joined
