"""Steps labelled streams through an engine side by side, as a worker would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, Features, InputArray, Logits

NEVER = 0  # as a reset: the memory is carried over the whole stream


@dataclass(frozen=True, slots=True)
class Stepped:
    """What an engine answered to one frame of M streams, for one reset."""

    logits: Logits  # (M, K)
    finite: NDArray[np.bool_]  # (M,), whether a row's logits and memory are finite numbers


class SteppedStreams:
    """N streams whose memories are in an engine, once for each reset.

    A reset is a number of frames after which all memories are set to zero, as in a worker that
    crashes and has no snapshot. Each reset has rows of its own, so that a frame is encoded once.
    """

    def __init__(self, engine: Engine, streams: int, resets: Sequence[int]) -> None:
        self._engine, self._frame = engine, 0
        self._rows = {reset: np.arange(streams) + streams * i for i, reset in enumerate(resets)}
        engine.reserve(streams * len(resets))
        engine.zero(range(streams * len(resets)))

    def step(
        self, inputs: InputArray, live: NDArray[np.intp]
    ) -> tuple[Features, Mapping[int, Stepped]]:
        """Step the streams `live` (M,) by their next inputs (M, *shape)."""
        features = self._engine.encode(np.ascontiguousarray(inputs))  # (M, F)
        answers = {}
        for reset, rows in self._rows.items():
            if reset != NEVER and self._frame % reset == 0:
                self._engine.zero(rows)
            answers[reset] = Stepped(*self._engine.step(features, range(len(live)), rows[live]))
        self._frame += 1
        return features, answers


def roll(
    engine: Engine, inputs: InputArray, *, resets: Sequence[int] = (NEVER,)
) -> Mapping[int, Logits]:
    """Run N streams of one length: inputs (N, T, *shape) -> logits (T, N, K) for each reset."""
    streams, everyone = SteppedStreams(engine, len(inputs), resets), np.arange(len(inputs))
    steps = [streams.step(inputs[:, t], everyone)[1] for t in range(inputs.shape[1])]
    return {reset: np.stack([step[reset].logits for step in steps]) for reset in resets}
