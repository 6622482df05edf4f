"""An engine on trial: compared with ONNX Runtime over a real stream, and timed at every batch size.

`verify` finds faults of the code in a second, on drawn samples; this measures what a network loses
on a device over a stream of real inputs, with its memory carried from step to step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, EngineName, InputArray
from engines.checks.verify import Tolerance, to_scores
from engines.errors import VerificationError
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine

STREAMS = 5  # side by side, each beginning somewhere else in the inputs
TIMED_S = 0.5
WARM = 3  # the first run initialises, the second is captured

Scores = NDArray[np.float64]  # (T, S, K)
Went = Callable[[int], None]  # called with the number of inputs done since its last call


@dataclass(frozen=True, slots=True)
class Trial:
    """Largest difference of a score from ONNX Runtime's, as one stream and as several at once."""

    inputs: int
    alone: float
    together: float

    def require(self, precision: Tolerance, *, engine: EngineName, bundle: str) -> None:
        """Raise `VerificationError` if a score is further away than `precision` allows."""
        apart = {"alone": self.alone, f"as {STREAMS} streams": self.together}
        for what, far in apart.items():
            if not far <= precision.tolerance:
                raise VerificationError(
                    f"{engine} is not fit to serve {bundle}: over {self.inputs} frames {what} a"
                    f" score is {far:.1e} from onnxruntime's, allowed is {precision.tolerance:.0e};"
                    " on a GPU try --precision float32 (gpu_precision in the settings)"
                )


def hold(engine: Engine, bundle: Bundle, inputs: InputArray, *, went: Went) -> Trial:
    """Run inputs (T, *shape) as one stream, then as five; `went` is called for 11 T of them."""
    wanted = _scores(onnxruntime_engine(bundle, threads=2), bundle, inputs, STREAMS, went)
    alone = _scores(engine, bundle, inputs, 1, went)
    together = _scores(engine, bundle, inputs, STREAMS, went)
    return Trial(len(inputs), _apart(alone, wanted[:, :1]), _apart(together, wanted))


def pace(engine: Engine, inputs: InputArray, sizes: Sequence[int]) -> dict[int, float]:
    """Measure inputs a second through encoder and head at each size of the batch: size -> rate."""
    engine.reserve(max(sizes))
    return {size: _pace(engine, inputs, size) for size in sizes}


def _pace(engine: Engine, inputs: InputArray, size: int) -> float:
    rows = range(size)
    began, done, turn = perf_counter(), 0, 0
    while turn < WARM + 2 or perf_counter() - began < TIMED_S:
        if turn == WARM:
            began, done = perf_counter(), 0
        batch = inputs[np.arange(turn * size, (turn + 1) * size) % len(inputs)]
        engine.step(engine.encode(batch), rows, rows)
        done += size
        turn += 1
    return done / (perf_counter() - began)


def _scores(engine: Engine, bundle: Bundle, inputs: InputArray, streams: int, went: Went) -> Scores:
    """Run streams over the inputs, each from its own place on, and from the start after the end."""
    engine.reserve(STREAMS)
    rows = np.arange(streams)
    engine.zero(rows)
    places = rows * len(inputs) // STREAMS
    logits = []
    for turn in range(len(inputs)):
        features = engine.encode(inputs[(turn + places) % len(inputs)])
        logits.append(engine.step(features, rows, rows)[0])
        went(streams)
    engine.zero(rows)
    return to_scores(np.stack(logits), bundle.activation)


def _apart(found: Scores, wanted: Scores) -> float:
    """The largest difference; infinite where only one of the two is finite."""
    broken = ~np.isfinite(wanted)
    if (np.isfinite(found) == broken).any():
        return float("inf")
    return float(np.abs(np.where(broken, 0, found - wanted)).max())
