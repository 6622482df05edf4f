"""All that the double offers as `import tensorrt as trt`, and nothing else."""

from tensorrt_bindings import (
    BuilderFlag,
    DataType,
    Dims,
    ErrorCode,
    ErrorCodeTRT,
    ExecutionContextAllocationStrategy,
    HardwareCompatibilityLevel,
    IErrorRecorder,
    ILogger,
    IProgressMonitor,
    Logger,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    ProfilingVerbosity,
    TensorIOMode,
    TensorLocation,
    Weights,
    nptype,
    volume,
)

from tests.doubles.tensorrt.builder import Builder
from tests.doubles.tensorrt.config import IBuilderConfig
from tests.doubles.tensorrt.context import IExecutionContext
from tests.doubles.tensorrt.engine import ICudaEngine
from tests.doubles.tensorrt.hostmemory import IHostMemory
from tests.doubles.tensorrt.network import INetworkDefinition, ITensor
from tests.doubles.tensorrt.parser import OnnxParser, ParserError
from tests.doubles.tensorrt.profile import IOptimizationProfile
from tests.doubles.tensorrt.runtime import Runtime
from tests.doubles.tensorrt.sealed import version
from tests.doubles.tensorrt.timing import ITimingCache


def __getattr__(name: str) -> str:
    """Give `__version__`, which a test may change at any time."""
    if name == "__version__":
        return version()
    raise AttributeError(f"module 'tensorrt' has no attribute {name!r}")


def get_nv_onnx_parser_version() -> int:
    """Like the genuine one, 110400 for 11.4.0."""
    major, minor, patch = (int(part) for part in version().split(".")[:3])
    return major * 10000 + minor * 100 + patch


__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "Dims",
    "ErrorCode",
    "ErrorCodeTRT",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IErrorRecorder",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITensor",
    "ITimingCache",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "ProfilingVerbosity",
    "Runtime",
    "TensorIOMode",
    "TensorLocation",
    "Weights",
    "get_nv_onnx_parser_version",
    "nptype",
    "volume",
]
