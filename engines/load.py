"""An engine by its name, ready to serve: made and verified."""

import logging
import os
from pathlib import Path
from typing import get_args

from engines.base import BuildProgress, Engine, EngineName, GpuPrecision
from engines.cache import cache_folder
from engines.errors import EngineError, EngineUnavailableError
from engines.model.bundle import Bundle
from engines.model.verdicts import Verdicts
from engines.onnxrt import onnxruntime_engine
from engines.tensorrt.parts import Machine, find_machine

log = logging.getLogger(__name__)


def load_engine(
    name: EngineName,
    bundle: Bundle,
    threads: int,
    *,
    verdicts: Verdicts | None = None,
    gpu_precision: GpuPrecision = "float16",
    progress: BuildProgress = lambda phase, done, steps: None,
) -> Engine:
    """Make the engine and compare it with the oracle, unless `verdicts` hold that it has passed.

    `threads` is for the engines on the processor; `gpu_precision` and `progress` are for TensorRT.
    Raises `EngineError` of any kind.
    """
    name = choose() if name == "auto" else name
    if name == "reference":
        from engines.reference import reference_engine  # it takes 0.15 s and is rarely needed

        return reference_engine(bundle)  # it is the oracle
    if name == "onnxruntime":
        engine: Engine = onnxruntime_engine(bundle, threads)
        made_for = str(threads)
    elif name == "tensorrt":
        machine = find_machine()
        engine = _tensorrt(bundle, machine, gpu_precision, progress)
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
    """Choose TensorRT where all that it needs is installed; log why or why not."""
    try:
        machine = find_machine()
    except EngineUnavailableError as exc:
        log.info("engine auto: onnxruntime, on the processor: %s", exc)
        return "onnxruntime"
    log.info("engine auto: tensorrt %s, on %s", machine.tensorrt, machine.gpu)
    return "tensorrt"


def plan_folder() -> Path:
    """The folder of plans. Raises `EngineUnavailableError` where there is no home directory."""
    try:
        return cache_folder(os.environ) / "plans"
    except RuntimeError as exc:
        raise EngineUnavailableError(
            "there is no home folder to keep TensorRT's plans in: set LONGTAKE_CACHE to a folder"
        ) from exc


def _tensorrt(
    bundle: Bundle, machine: Machine, precision: GpuPrecision, progress: BuildProgress
) -> Engine:
    from engines.tensorrt.engine import TensorRtEngine  # only where its libraries are
    from engines.tensorrt.plans import PlanCache

    cache = PlanCache(plan_folder())
    return TensorRtEngine(bundle, machine, cache, half=precision == "float16", progress=progress)


def _compare(engine: Engine, bundle: Bundle, gpu_precision: GpuPrecision | None) -> None:
    from engines.checks.verify import promised, verify  # they import the oracle

    try:
        verify(engine, bundle, precision=promised(bundle, gpu_precision))
    except BaseException:  # Ctrl-C too: a GPU's context must be freed
        engine.close()
        raise
