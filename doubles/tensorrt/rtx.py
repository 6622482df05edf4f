"""The double as `import tensorrt_rtx`: what TensorRT for RTX has besides, or differently.

Its plans are for a compute capability. What its compiler would do at the first run is only counted.
"""

from enum import IntEnum

from tensorrt_bindings import ErrorCodeTRT, HardwareCompatibilityLevel

from doubles.tensorrt.api import (
    BuilderFlag,
    DataType,
    ExecutionContextAllocationStrategy,
    IExecutionContext,
    ILogger,
    INetworkDefinition,
    IProgressMonitor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParser,
    get_nv_onnx_parser_version,
)
from doubles.tensorrt.builder import Builder as PlainBuilder
from doubles.tensorrt.config import IBuilderConfig as PlainConfig
from doubles.tensorrt.driver import Gpu
from doubles.tensorrt.engine import ICudaEngine as PlainEngine
from doubles.tensorrt.hostmemory import IHostMemory
from doubles.tensorrt.runtime import Runtime as PlainRuntime
from doubles.tensorrt.trouble import Reporting, wanted

__version__ = "1.7.1.116"
MAGIC = b"double of a runtime cache\n"


class ComputeCapability(IntEnum):
    """Those of 1.7; values are the genuine ones (doubles/rtx)."""

    NONE = 0
    CURRENT = 1
    SM75 = 75
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120
    SM121 = 121


class DynamicShapesKernelSpecializationStrategy(IntEnum):
    """When kernels are compiled."""

    LAZY = 0
    EAGER = 1
    NONE = 2


class IBuilderConfig(PlainConfig):
    """Builds for one compute capability."""

    def __init__(self, reporter: Reporting) -> None:
        super().__init__(reporter)
        self._capabilities = [ComputeCapability.CURRENT]

    @property
    def num_compute_capabilities(self) -> int:
        return len(self._capabilities)

    @num_compute_capabilities.setter
    def num_compute_capabilities(self, count: int) -> None:
        self._capabilities = [ComputeCapability.NONE] * wanted(count, int)

    def set_compute_capability(self, compute_capability: ComputeCapability, index: int) -> bool:
        if compute_capability is ComputeCapability.NONE or not 0 <= index < len(self._capabilities):
            self._reporter._error(ErrorCodeTRT.INVALID_ARGUMENT, "no such compute capability")
            return False
        self._capabilities[index] = wanted(compute_capability, ComputeCapability)
        return True

    def _target(self) -> tuple[Gpu, HardwareCompatibilityLevel]:
        (capability,) = self._capabilities
        current, _ = super()._target()
        if capability is not ComputeCapability.CURRENT:
            current = Gpu("any GPU", divmod(int(capability), 10), 0)
        return current, HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY


class Builder(PlainBuilder):
    """Makes configurations with a compute capability."""

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self)


class IRuntimeCache:
    """How often its owner's contexts were made ready, in all processes."""

    def __init__(self) -> None:
        self._compiled = 0

    def serialize(self) -> IHostMemory:
        return IHostMemory(MAGIC + str(self._compiled).encode())

    def deserialize(self, buffer: bytes) -> bool:
        content = bytes(memoryview(buffer))
        if not content.startswith(MAGIC):
            return False
        self._compiled = int(content.removeprefix(MAGIC))
        return True


class IRuntimeConfig:
    """How contexts are made."""

    def __init__(self) -> None:
        self._strategy = ExecutionContextAllocationStrategy.STATIC
        self._cache: IRuntimeCache | None = None
        self.dynamic_shapes_kernel_specialization_strategy = (
            DynamicShapesKernelSpecializationStrategy.LAZY
        )

    def set_execution_context_allocation_strategy(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> None:
        self._strategy = wanted(strategy, ExecutionContextAllocationStrategy)

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._cache = wanted(cache, IRuntimeCache)
        return True


class ICudaEngine(PlainEngine):
    """Makes contexts as a runtime configuration says."""

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(  # type: ignore[override]
        self, runtime_config: IRuntimeConfig
    ) -> IExecutionContext:
        config = wanted(runtime_config, IRuntimeConfig)
        if config._cache is not None:
            config._cache._compiled += 1
        return super().create_execution_context(config._strategy)


class Runtime(PlainRuntime):
    """Loads engines of this kind."""

    _kind = ICudaEngine


__all__ = [
    "Builder",
    "BuilderFlag",
    "ComputeCapability",
    "DataType",
    "DynamicShapesKernelSpecializationStrategy",
    "ExecutionContextAllocationStrategy",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "ILogger",
    "INetworkDefinition",
    "IProgressMonitor",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "Runtime",
    "get_nv_onnx_parser_version",
]
