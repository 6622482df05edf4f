"""An engine on trial: held against ONNX Runtime over real frames, and timed at every batch size.

`verify` looks for faults of the code in a second, on pictures of blocks; this looks for what a
network loses on a device over a clip, with its memory carried from frame to frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, EngineName, Pixels
from engines.checks.verify import Tolerance, to_scores
from engines.errors import VerificationError
from engines.model.bundle import Bundle
from engines.onnxrt import OnnxRuntimeEngine

STREAMS = 5  # beside each other, each somewhere else in the clip
TIMED_S = 0.5
WARM = 3  # the first run initialises, the second is captured

Scores = NDArray[np.float64]  # (T, S, K)
Went = Callable[[int], None]  # hears how many frames more are done


@dataclass(frozen=True, slots=True)
class Trial:
    """Largest difference of a score from ONNX Runtime's, alone and in company."""

    frames: int
    alone: float
    together: float

    def require(self, precision: Tolerance, *, engine: EngineName, bundle: str) -> None:
        """Raise `VerificationError` if a score is further away than `precision` allows."""
        apart = {"alone": self.alone, f"as {STREAMS} streams": self.together}
        for what, far in apart.items():
            if not far <= precision.tolerance:
                raise VerificationError(
                    f"{engine} is not fit to serve {bundle}: over {self.frames} frames {what} a"
                    f" score is {far:.1e} from onnxruntime's, allowed is {precision.tolerance:.0e};"
                    " on a GPU try --precision float32 (gpu_precision in the settings)"
                )


def hold(engine: Engine, bundle: Bundle, clip: Pixels, *, went: Went) -> Trial:
    """Run frames (T, H, W, 3) as one stream, then as five; `went` hears of 11 T frames in all."""
    wanted = _scores(OnnxRuntimeEngine(bundle, threads=2), bundle, clip, STREAMS, went)
    alone = _scores(engine, bundle, clip, 1, went)
    together = _scores(engine, bundle, clip, STREAMS, went)
    return Trial(len(clip), _apart(alone, wanted[:, :1]), _apart(together, wanted))


def pace(engine: Engine, clip: Pixels, sizes: Sequence[int]) -> dict[int, float]:
    """Measure frames a second through encoder and head at each size of the batch."""
    engine.reserve(max(sizes))
    return {size: _pace(engine, clip, size) for size in sizes}


def _pace(engine: Engine, clip: Pixels, size: int) -> float:
    rows = range(size)
    began, done, turn = perf_counter(), 0, 0
    while turn < WARM + 2 or perf_counter() - began < TIMED_S:
        if turn == WARM:
            began, done = perf_counter(), 0
        frames = clip[np.arange(turn * size, (turn + 1) * size) % len(clip)]
        engine.step(engine.encode(frames), rows, rows)
        done += size
        turn += 1
    return done / (perf_counter() - began)


def _scores(engine: Engine, bundle: Bundle, clip: Pixels, streams: int, went: Went) -> Scores:
    """Let streams see the clip, each from a place of its own on: at its end it begins again."""
    engine.reserve(STREAMS)
    rows = np.arange(streams)
    engine.zero(rows)
    places = rows * len(clip) // STREAMS
    logits = []
    for turn in range(len(clip)):
        features = engine.encode(clip[(turn + places) % len(clip)])
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
