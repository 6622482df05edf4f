"""Metrics over time: detection latency, label changes, and overlap of segments."""

from dataclasses import dataclass

import numpy as np

from engines.train.evaluation.answers import UNKNOWN, Answers, Float64s, Ints
from engines.train.evaluation.metrics import ratio

EDGES_S = (2 / 15, 4 / 15, 7 / 15, 10 / 15, 1.0, 1.5, 2.0)  # of frames at 15 Hz
IN_A_ROW = 3  # right frames that count as a detection: a single one may be chance
OVERLAP = 0.5  # of two segments' union: the usual threshold of F1@50


@dataclass(frozen=True, slots=True)
class Segment:
    """One action of a stream, true or answered: frames [start, end)."""

    label: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Latency:
    """How soon actions were detected. Times are over detected ones only; NaN if there is none."""

    segments: int  # of 3 frames or more
    detected: float  # share of the segments
    median_s: float
    p90_s: float


def segments(labels: Ints) -> list[Segment]:
    """Cut the labels (T,) of one stream where they change; unknown stretches are left out."""
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])[: len(labels)])
    ends = np.append(starts, len(labels))[1:]
    whole = zip(labels[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)
    return [Segment(*each) for each in whole if each[0] != UNKNOWN]


def since_onset(answers: Answers) -> tuple[Ints, Float64s]:
    """Frames and accuracy by time since the action began: 8 bins, cut at `EDGES_S`."""
    bins = np.digitize(answers.onsets[answers.known] / answers.rate_hz, EDGES_S)
    counts = np.bincount(bins, minlength=len(EDGES_S) + 1)
    right = np.bincount(bins, answers.right[answers.known], len(EDGES_S) + 1)
    return counts, right / np.where(counts > 0, counts, np.nan)


def latency(answers: Answers) -> Latency:
    """Seconds from an action's first frame to the first of 3 right answers in a row.

    A definition of our own, similar to the time to detection of Hoai and De la Torre 2014.
    """
    delays = [
        _first_run(right[segment.start : segment.end])
        for truth, right in zip(answers.truth.T, answers.right.T, strict=True)
        for segment in segments(truth)
        if segment.end - segment.start >= IN_A_ROW
    ]
    detected = [delay / answers.rate_hz for delay in delays if delay is not None]
    median_s, p90_s = np.percentile(detected, (50, 90)) if detected else (np.nan, np.nan)
    return Latency(len(delays), ratio(len(detected), len(delays)), float(median_s), float(p90_s))


def changes_per_min(labels: Ints, answers: Answers) -> float:
    """How often labels (T, N) change between two frames that are both labelled, per minute."""
    pairs = answers.known[1:] & answers.known[:-1]
    changes = (labels[1:] != labels[:-1]) & pairs
    return ratio(float(changes.sum()) * 60 * answers.rate_hz, int(pairs.sum()))


def segment_f1(answers: Answers) -> float:
    """F1 of whole segments: Lea et al. 2017, "Temporal Convolutional Networks", F1@50.

    An answered segment is right if it overlaps a true one of its label by half of their union. No
    two answered segments can overlap the same true one by half, so none is counted twice.
    """
    shown = np.where(answers.known, answers.labels, UNKNOWN)
    hits = found = wanted = 0
    for answered, truth in zip(shown.T, answers.truth.T, strict=True):
        guesses, true_ones = segments(answered), segments(truth)
        hits += sum(any(_overlap(one, true) >= OVERLAP for true in true_ones) for one in guesses)
        found, wanted = found + len(guesses), wanted + len(true_ones)
    return ratio(2 * hits, found + wanted)


def _first_run(right: np.ndarray) -> int | None:
    runs = np.lib.stride_tricks.sliding_window_view(right, IN_A_ROW).all(-1)
    return int(runs.argmax()) if runs.any() else None


def _overlap(one: Segment, other: Segment) -> float:
    if one.label != other.label:
        return 0.0
    common = min(one.end, other.end) - max(one.start, other.start)
    return max(0, common) / (max(one.end, other.end) - min(one.start, other.start))
