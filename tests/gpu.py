"""The GPU engine for tests: on doubles here, on a GPU where there is one."""

import os
import tempfile
from pathlib import Path

from engines.base import Engine
from engines.model.bundle import Bundle
from engines.tensorrt.parts import find_machine

DOUBLES, GPU = "tensorrt on doubles", "tensorrt on a GPU"
PLANS = Path(tempfile.gettempdir()) / f"longtake-test-plans-{os.getpid()}"


def gpu_engine(bundle: Bundle, *, half: bool) -> Engine:
    """Make the engine, on what `doubles` or `real_gpu` have put in place."""
    from engines.tensorrt.engine import TensorRtEngine
    from engines.tensorrt.plans import PlanCache

    cache = PlanCache(PLANS)
    return TensorRtEngine(
        bundle, find_machine(), cache, half=half, progress=lambda phase, done, steps: None
    )
