"""Runs labelled streams through an engine, as a worker would, and scores the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, Logits
from engines.train.streams import ACTIONS, RATE_HZ

NEVER = 0  # how often a state is forgotten that is carried on for ever


def roll(
    engine: Engine, frames: NDArray[np.uint8], *, resets: Sequence[int] = (NEVER,)
) -> Mapping[int, Logits]:
    """Run N streams side by side: frames (N, T, H, W, 3) -> logits (T, N, K) for each reset.

    `resets` says after how many frames the state is forgotten, as by a worker that crashes and
    kept nothing. Each has rows of its own, so that a frame is encoded once for all.
    """
    count, length = frames.shape[:2]
    rows = {reset: np.arange(count) + count * i for i, reset in enumerate(resets)}
    engine.reserve(count * len(resets))
    engine.zero(range(count * len(resets)))
    logits: dict[int, list[Logits]] = {reset: [] for reset in resets}
    for t in range(length):
        features = engine.encode(np.ascontiguousarray(frames[:, t]))
        for reset in resets:
            if reset != NEVER and t % reset == 0:
                engine.zero(rows[reset])
            answer, _ = engine.step(features, range(count), rows[reset])
            logits[reset].append(answer)
    return {reset: np.stack(steps) for reset, steps in logits.items()}


def score(logits: Logits, labels: NDArray[np.int64], onsets: NDArray[np.int64]) -> dict[str, float]:
    """Score logits (T, N, K) against labels (T, N) and frames since onset (T, N).

    `accuracy` is of all frames; `accuracy_from_1s` of those a second or more into their action;
    `ece` is the calibration error; `changes_per_minute` counts how often the answer changes.
    """
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    scores = exponentials / exponentials.sum(-1, keepdims=True)
    answers = scores.argmax(-1)
    right = answers == labels
    changes = (answers[1:] != answers[:-1]).mean()
    return {
        "accuracy": round(float(right.mean()), 4),
        "accuracy_from_1s": round(float(right[onsets >= RATE_HZ].mean()), 4),
        "ece": round(_calibration_error(scores.max(-1), right), 4),
        "changes_per_minute": round(float(changes) * RATE_HZ * 60, 1),
    }


def score_actions(logits: Logits, labels: NDArray[np.int64]) -> dict[str, float]:
    """Share of right answers among the frames of each action that occurs."""
    right = logits.argmax(-1) == labels
    return {
        action: round(float(right[labels == i].mean()), 3)
        for i, action in enumerate(ACTIONS)
        if (labels == i).any()
    }


def _calibration_error(confidences: NDArray[Any], right: NDArray[np.bool_]) -> float:
    error = 0.0
    for low in np.arange(0, 1, 0.1):
        chosen = (confidences > low) & (confidences <= low + 0.1)
        if chosen.any():
            apart = abs(right[chosen].mean() - confidences[chosen].mean())
            error += float(chosen.mean() * apart)
    return error
