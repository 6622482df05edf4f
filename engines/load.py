"""An engine by its name, ready to serve: made and verified."""

import logging
import os
from pathlib import Path
from typing import get_args

from engines.base import Engine, EngineName, GpuPrecision, Told
from engines.cache import cache_folder
from engines.errors import EngineError, EngineUnavailableError
from engines.model.bundle import Bundle
from engines.model.verdicts import Verdicts
from engines.onnxrt import OnnxRuntimeEngine
from engines.tensorrt.parts import Machine, find_machine

log = logging.getLogger(__name__)


def load_engine(
    name: EngineName,
    bundle: Bundle,
    threads: int,
    *,
    verdicts: Verdicts | None = None,
    gpu_precision: GpuPrecision = "float16",
    told: Told = lambda phase, done, steps: None,
) -> Engine:
    """Make the engine and compare it with the oracle, unless `verdicts` know how that ends.

    `threads` are the processor's; `gpu_precision` and `told` are TensorRT's. Raises `EngineError`
    of any kind.
    """
    name = choose() if name == "auto" else name
    if name == "reference":
        from engines.reference import ReferenceEngine  # 0.15 s, seldom needed

        return ReferenceEngine(bundle)  # it is the oracle
    if name == "onnxruntime":
        engine: Engine = OnnxRuntimeEngine(bundle, threads)
        made_for = str(threads)
    elif name == "tensorrt":
        machine = find_machine()
        engine = _tensorrt(bundle, machine, gpu_precision, told)
        made_for = f"{gpu_precision} {machine}"
    else:
        known = ", ".join(get_args(EngineName))
        raise EngineError(f"no engine named {name!r}; there are: {known}")
    what = "engine", bundle.digest, name, made_for
    if verdicts is None or not verdicts.passed(*what):
        _compare(engine, bundle, None if name == "onnxruntime" else gpu_precision)
    if verdicts is not None:
        verdicts.remember(*what)
    return engine


def choose() -> EngineName:
    """Choose TensorRT where there is all that it needs, and say why or why not."""
    try:
        machine = find_machine()
    except EngineUnavailableError as exc:
        log.info("engine auto: onnxruntime, on the processor: %s", exc)
        return "onnxruntime"
    log.info("engine auto: tensorrt %s, on %s", machine.tensorrt, machine.gpu)
    return "tensorrt"


def plan_folder() -> Path:
    """Where plans are kept. Raises `EngineUnavailableError` where there is no home."""
    try:
        return cache_folder(os.environ) / "plans"
    except RuntimeError as exc:
        raise EngineUnavailableError(
            "there is no home folder to keep TensorRT's plans in: set LONGTAKE_CACHE to a folder"
        ) from exc


def _tensorrt(bundle: Bundle, machine: Machine, precision: GpuPrecision, told: Told) -> Engine:
    from engines.tensorrt.engine import TensorRtEngine  # only where its libraries are
    from engines.tensorrt.plans import PlanCache

    cache = PlanCache(plan_folder())
    return TensorRtEngine(bundle, machine, cache, half=precision == "float16", told=told)


def _compare(engine: Engine, bundle: Bundle, gpu_precision: GpuPrecision | None) -> None:
    from engines.checks.verify import promised, verify  # they bring the oracle along

    try:
        verify(engine, bundle, precision=promised(bundle, gpu_precision))
    except BaseException:  # Ctrl-C, too: a GPU's context must not be left behind
        engine.close()
        raise
