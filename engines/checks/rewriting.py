"""The check that an encoder which ONNX Runtime gets rewritten gives the bits of the stored one."""

import numpy as np

from engines.errors import VerificationError
from engines.model.bundle import Bundle
from engines.onnxrt import OnnxRuntimeGraphs

BATCHES = (1, 3, 8)


def check_rewriting(bundle: Bundle, threads: int) -> None:
    """Raise `VerificationError` unless both give the same features, bit for bit."""
    rewritten = OnnxRuntimeGraphs(bundle, threads)
    if not rewritten.rewritten:
        return
    stored = OnnxRuntimeGraphs(bundle, threads, rewrites=False)
    inputs = bundle.input.samples(max(BATCHES), np.random.default_rng(0))
    for size in BATCHES:
        found, wanted = rewritten.encode(inputs[:size]), stored.encode(inputs[:size])
        if found.tobytes() != wanted.tobytes():
            raise VerificationError(
                f"{bundle.id}: the encoder that is rewritten to take planes gives other features"
                f" than the stored one, in a batch of {size}. Please report it, with the bundle"
            )
