"""The builder: a network becomes a plan, or the log says why not."""

from collections.abc import Iterator
from contextlib import contextmanager

import onnx
from tensorrt_bindings import BuilderFlag, ErrorCodeTRT, ILogger, IProgressMonitor

from doubles.tensorrt import ports, tf32
from doubles.tensorrt.config import IBuilderConfig
from doubles.tensorrt.driver import Gpu
from doubles.tensorrt.hostmemory import IHostMemory
from doubles.tensorrt.network import INetworkDefinition
from doubles.tensorrt.plan import Plan
from doubles.tensorrt.profile import IOptimizationProfile, uncovered
from doubles.tensorrt.trouble import Reporting, wanted

OUTER, INNER = "Building the engine", "Timing layers"


class Builder(Reporting):
    """Makes everything that a build needs, and then the plan."""

    def __init__(self, logger: ILogger) -> None:
        self._logger, self._recorder = wanted(logger, ILogger), None

    @property
    def logger(self) -> ILogger:
        return self._logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(self._logger, wanted(flags, int))

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        wanted(network, INetworkDefinition)
        wanted(config, IBuilderConfig)
        model = network._content
        for reason in self._unfit(model, config):
            self._error(ErrorCodeTRT.INVALID_CONFIG, f"IBuilder::buildSerializedNetwork: {reason}")
            return None
        if not _measure(model, config):
            text = "the build was cancelled by the progress monitor"
            self._error(ErrorCodeTRT.FAILED_EXECUTION, text)
            return None
        gpu, fit = config._target()
        graph = _narrow(model, config, gpu).SerializeToString()
        plan = Plan(graph, config._profiles or [{}])
        return IHostMemory(plan.sealed(gpu, fit))

    def _unfit(self, model: onnx.ModelProto, config: IBuilderConfig) -> Iterator[str]:
        if not ports.outputs(model):
            yield "network must have at least one output"
        yield from uncovered(ports.inputs(model), config._profiles)


def _narrow(model: onnx.ModelProto, config: IBuilderConfig, gpu: Gpu) -> onnx.ModelProto:
    if config.get_flag(BuilderFlag.TF32) and gpu.capability >= tf32.FIRST_CAPABILITY:
        return tf32.rounded(model)
    return model


def _measure(model: onnx.ModelProto, config: IBuilderConfig) -> bool:
    """Go through the layers as TensorRT does, telling the monitor; False if it wants to stop."""
    monitor, kinds = config.progress_monitor, [node.op_type for node in model.graph.node]
    with _phase(monitor, OUTER, None, 2):
        with _phase(monitor, INNER, OUTER, len(kinds)):
            for step, kind in enumerate(kinds):
                if config._cache is not None:
                    config._cache._measured.add(kind)
                if monitor is not None and not monitor.step_complete(INNER, step):
                    return False
        return monitor is None or all(monitor.step_complete(OUTER, step) for step in range(2))


@contextmanager
def _phase(
    monitor: IProgressMonitor | None, name: str, parent: str | None, steps: int
) -> Iterator[None]:
    """A phase is finished even where the build is stopped, by NvInferRuntime.h."""
    if monitor is not None:
        monitor.phase_start(name, parent, steps)
    yield
    if monitor is not None:
        monitor.phase_finish(name)
