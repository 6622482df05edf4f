"""Where TensorRT and TensorRT for RTX differ: the only place that knows, besides `parts`.

TensorRT measures kernels on the GPU at hand, and its plan is for that GPU alone. TensorRT for RTX
builds for a compute capability, without a GPU; a just-in-time compiler finishes the kernels on the
GPU, at the first run of each shape, and what it has made can be kept.
"""

from typing import Any

import tensorrt as trt

from engines.errors import BuildError
from engines.tensorrt.parts import Capability, sm

rtx: Any = trt  # for names that TensorRT does not have


def is_rtx() -> bool:
    """Whether `tensorrt` is TensorRT for RTX in this process."""
    return hasattr(trt, "ComputeCapability")


def aim(config: trt.IBuilderConfig, capability: Capability) -> None:
    """Let a build be for GPUs of this compute capability; TensorRT takes the GPU at hand."""
    if not is_rtx():
        return
    wanted: Any = config
    wanted.num_compute_capabilities = 1
    name = getattr(rtx.ComputeCapability, sm(capability).upper(), None)
    if name is None or not wanted.set_compute_capability(name, 0):
        raise BuildError(f"TensorRT for RTX {trt.__version__} does not build for {sm(capability)}")


class Contexts:
    """Makes the execution contexts of one plan, whose scratch memory is the caller's.

    `compiled` is what the method has returned in an earlier process, or empty.
    """

    def __init__(self, plan: trt.ICudaEngine, compiled: bytes) -> None:
        self._plan = plan
        self._config: Any = None
        self._cache: Any = None
        if is_rtx():
            self._configure(plan, compiled)

    def make(self) -> trt.IExecutionContext | None:
        """Make one; None where TensorRT fails, whose log says why."""
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return self._plan.create_execution_context(self._config or strategy)

    def compiled(self) -> bytes:
        """Return the kernels that were compiled since the plan was loaded, and those given."""
        found = None if self._cache is None else self._cache.serialize()
        return b"" if found is None else bytes(memoryview(found))

    def _configure(self, plan: Any, compiled: bytes) -> None:
        self._config = plan.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        # before the first run: else it runs on other kernels, and a CUDA graph would keep those
        self._config.dynamic_shapes_kernel_specialization_strategy = (
            rtx.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        self._cache = self._config.create_runtime_cache()
        if compiled:
            self._cache.deserialize(compiled)
        self._config.set_runtime_cache(self._cache)
