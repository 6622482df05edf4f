"""An engine by its name, ready to serve: checked, made and verified."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from engines.base import BuildProgress, Engine, EngineName, GpuPrecision
from engines.cache import cache_folder
from engines.checks.bounded import check_in_child
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
    plans: Path | None = None,
    progress: BuildProgress = lambda phase, done, steps: None,
) -> Engine:
    """Check the bundle, and make the engine; `verdicts` can hold that it has passed.

    The check runs the graphs on ONNX Runtime and compares it with the oracle, in a child process
    with limits. TensorRT is compared with the oracle here, after that.

    `threads` is for the engines on the processor; `gpu_precision`, `progress` and `plans`, a folder
    of plans that were made elsewhere, are for TensorRT.
    Raises `EngineError` of any kind.
    """
    name = choose() if name == "auto" else name
    if name not in get_args(EngineName):
        known = ", ".join(get_args(EngineName))
        raise EngineError(f"no engine named {name!r}; there are: {known}")
    machine = find_machine() if name == "tensorrt" else None
    with _unless_passed(verdicts, bundle, "onnxruntime", str(threads)) as wanted:
        if wanted:
            check_in_child(bundle, threads=threads)
    if name == "reference":
        from engines.reference import reference_engine  # it takes 0.15 s and is rarely needed

        return reference_engine(bundle)  # it is the oracle
    if machine is None:
        return onnxruntime_engine(bundle, threads)
    engine = _tensorrt(bundle, machine, gpu_precision, plans, progress)
    with _unless_passed(verdicts, bundle, name, f"{gpu_precision} {machine}") as wanted:
        if wanted:
            _compare(engine, bundle, gpu_precision)
    return engine


@contextmanager
def _unless_passed(
    verdicts: Verdicts | None, bundle: Bundle, engine: EngineName, made_for: str
) -> Iterator[bool]:
    """Enter with whether a check is to be made; where it raises nothing, record that it passed."""
    what = "engine", bundle.digest, engine, made_for
    known = verdicts is not None and verdicts.passed(*what)
    yield not known
    if verdicts is not None and not known:
        verdicts.remember(*what)


def choose() -> EngineName:
    """Choose TensorRT where all that it needs is installed; log why or why not."""
    try:
        machine = find_machine()
    except EngineUnavailableError as exc:
        log.info("engine auto: onnxruntime, on the processor: %s", exc)
        return "onnxruntime"
    log.info("engine auto: %s %s, on %s", machine.library, machine.tensorrt, machine.gpu)
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
    bundle: Bundle,
    machine: Machine,
    precision: GpuPrecision,
    plans: Path | None,
    progress: BuildProgress,
) -> Engine:
    from engines.tensorrt.engine import TensorRtEngine  # only where its libraries are
    from engines.tensorrt.plans import GivenPlans, PlanCache

    return TensorRtEngine(
        bundle,
        machine,
        PlanCache(plan_folder()),
        half=precision == "float16",
        progress=progress,
        given=None if plans is None else GivenPlans(plans),
    )


def _compare(engine: Engine, bundle: Bundle, gpu_precision: GpuPrecision) -> None:
    from engines.checks.verify import promised, verify  # they import the oracle

    try:
        verify(engine, bundle, precision=promised(bundle, gpu_precision))
    except BaseException:  # Ctrl-C too: a GPU's context must be freed
        engine.close()
        raise
