"""A graph becomes a plan: the kernels that TensorRT measured to be fastest on this GPU.

Source of the calls: NVIDIA's API reference of TensorRT 11.4; they are the same in 10.16.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorrt as trt

from engines.base import BuildProgress
from engines.errors import BuildError
from engines.tensorrt.flavour import aim, is_rtx
from engines.tensorrt.graphs.orders import Profile
from engines.tensorrt.log import TensorRtLog, beginning
from engines.tensorrt.parts import Capability

WORKSPACE_BYTES = 1 << 30
OPTIMISATION = 3  # of 0..5: TensorRT's own default


@dataclass(frozen=True, slots=True)
class Built:
    """A plan, and the timings measured by its build, which make the next build faster."""

    plan: bytes
    timings: bytes


def build_plan(
    graph: bytes,
    profiles: Sequence[Profile],
    *,
    timings: bytes,
    progress: BuildProgress,
    log: TensorRtLog,
    capability: Capability,
) -> Built:
    """Build for seconds to minutes. `timings` of another GPU or version are ignored.

    TensorRT builds for the GPU at hand, TensorRT for RTX for any GPU of `capability`.

    Raises `BuildError` with what TensorRT said, and `EngineUnavailableError`.
    """
    with beginning(log):
        builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        raise BuildError(f"TensorRT cannot read the graph: {_complaints(parser)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.builder_optimization_level = OPTIMISATION
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default: float32 would have 10 bits
    config.max_aux_streams = 0  # all work of the engine is on one stream
    aim(config, capability)
    monitor = _Monitor(progress)
    config.progress_monitor = monitor
    for profile in profiles:
        _add(profile, builder, config)
    if not is_rtx():  # whose builder measures nothing
        _use(timings, config)
    plan = builder.build_serialized_network(network, config)
    if monitor.failure is not None:
        raise monitor.failure
    if plan is None:
        raise BuildError(f"TensorRT cannot make a plan: {log.trouble()}")
    kept = None if is_rtx() else config.get_timing_cache()
    return Built(bytes(memoryview(plan)), bytes(memoryview(kept.serialize())) if kept else b"")


def _complaints(parser: trt.OnnxParser) -> str:
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    said = [f"{e.desc()} (node {e.node_name() or '?'}, {e.node_operator() or '?'})" for e in errors]
    return "; ".join(said) or "the parser did not say why"


def _add(profile: Profile, builder: trt.Builder, config: trt.IBuilderConfig) -> None:
    shapes = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profile.items():
        shapes.set_shape(name, smallest, usual, largest)
    if config.add_optimization_profile(shapes) < 0:
        raise BuildError(f"TensorRT does not take the shapes {dict(profile)}")


def _use(timings: bytes, config: trt.IBuilderConfig) -> None:
    for known in (timings, b""):
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


class _Monitor(trt.IProgressMonitor):
    """Reports the steps of a build. An exception of `progress` stops the build at its next step."""

    def __init__(self, progress: BuildProgress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._progress = progress
        self._steps: dict[str, int] = {}
        self.failure: BaseException | None = None

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """TensorRT calls this."""
        del parent_phase
        self._steps[phase_name] = num_steps

    def step_complete(self, phase_name: str, step: int) -> bool:
        """TensorRT calls this, and stops for False."""
        try:
            self._progress(phase_name, step + 1, self._steps.get(phase_name, step + 1))
        except BaseException as exc:  # noqa: BLE001 - it must not pass through TensorRT's C++
            self.failure = exc
        return self.failure is None

    def phase_finish(self, phase_name: str) -> None:
        """TensorRT calls this."""
        self._steps.pop(phase_name, None)
