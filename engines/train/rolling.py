"""Runs labelled streams through an engine, as a worker would."""

from collections.abc import Mapping, Sequence

import numpy as np

from engines.base import Engine, InputArray, Logits

NEVER = 0  # how often a state is forgotten that is carried on for ever


def roll(
    engine: Engine, inputs: InputArray, *, resets: Sequence[int] = (NEVER,)
) -> Mapping[int, Logits]:
    """Run N streams side by side: inputs (N, T, *shape) -> logits (T, N, K) for each reset.

    `resets` says after how many inputs the state is forgotten, as by a worker that crashes and
    kept nothing. Each has rows of its own, so that an input is encoded once for all.
    """
    count, length = inputs.shape[:2]
    rows = {reset: np.arange(count) + count * i for i, reset in enumerate(resets)}
    engine.reserve(count * len(resets))
    engine.zero(range(count * len(resets)))
    logits: dict[int, list[Logits]] = {reset: [] for reset in resets}
    for t in range(length):
        features = engine.encode(np.ascontiguousarray(inputs[:, t]))
        for reset in resets:
            if reset != NEVER and t % reset == 0:
                engine.zero(rows[reset])
            answer, _ = engine.step(features, range(count), rows[reset])
            logits[reset].append(answer)
    return {reset: np.stack(steps) for reset, steps in logits.items()}
