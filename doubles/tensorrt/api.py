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

from doubles.tensorrt.builder import Builder
from doubles.tensorrt.config import IBuilderConfig
from doubles.tensorrt.context import IExecutionContext
from doubles.tensorrt.engine import ICudaEngine
from doubles.tensorrt.hostmemory import IHostMemory
from doubles.tensorrt.network import INetworkDefinition, ITensor
from doubles.tensorrt.parser import OnnxParser, ParserError
from doubles.tensorrt.profile import IOptimizationProfile
from doubles.tensorrt.runtime import Runtime
from doubles.tensorrt.sealed import version
from doubles.tensorrt.timing import ITimingCache


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
