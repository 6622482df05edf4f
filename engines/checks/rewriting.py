"""The check that an encoder which ONNX Runtime gets rewritten gives the bits of the stored one."""

from collections.abc import Sequence

import numpy as np

from engines.errors import VerificationError
from engines.model.bundle import Bundle
from engines.onnxrt import OnnxRuntimeGraphs

BATCHES = (1, 3, 8)


def check_rewriting(bundle: Bundle, threads: int) -> None:
    """Raise `VerificationError` unless both give the same features, bit for bit."""
    rewritten = _features(bundle, threads, rewrites=True)
    if not rewritten:
        return
    stored = _features(bundle, threads, rewrites=False)
    for size, found, wanted in zip(BATCHES, rewritten, stored, strict=True):
        if found != wanted:
            raise VerificationError(
                f"{bundle.id}: the encoder that is rewritten to take planes gives other features"
                f" than the stored one, in a batch of {size}. Please report it, with the bundle"
            )


def _features(bundle: Bundle, threads: int, *, rewrites: bool) -> Sequence[bytes]:
    """Return the bits for each batch, or nothing where an encoder is not rewritten.

    One runtime lives at a time: two would take the memory of two.
    """
    graphs = OnnxRuntimeGraphs(bundle, threads, rewrites=rewrites)
    if graphs.rewritten != rewrites:
        return []
    inputs = bundle.input.samples(max(BATCHES), np.random.default_rng(0))
    return [graphs.encode(inputs[:size]).tobytes() for size in BATCHES]
