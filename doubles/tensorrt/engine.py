"""An engine: what a plan holds, and contexts to run it in."""

import weakref

from tensorrt_bindings import (
    DataType,
    Dims,
    ErrorCodeTRT,
    ExecutionContextAllocationStrategy,
    IErrorRecorder,
    ILogger,
    TensorIOMode,
    TensorLocation,
)

from doubles.tensorrt.context import IExecutionContext
from doubles.tensorrt.loaded import Loaded
from doubles.tensorrt.ports import Port
from doubles.tensorrt.trouble import Reporting, misuse, wanted


class ICudaEngine(Reporting):
    """Made by `Runtime.deserialize_cuda_engine`; must outlive its contexts. Any thread may ask."""

    def __init__(self, loaded: Loaded, logger: ILogger, recorder: IErrorRecorder | None) -> None:
        self._loaded, self._logger, self._recorder = loaded, logger, recorder
        self._contexts: weakref.WeakSet[IExecutionContext] = weakref.WeakSet()

    @property
    def name(self) -> str:
        return str(self._loaded.model.graph.name)

    @property
    def num_layers(self) -> int:
        return len(self._loaded.model.graph.node)

    @property
    def num_io_tensors(self) -> int:
        return len(self._loaded.all_ports)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._loaded.profiles)

    @property
    def device_memory_size_v2(self) -> int:
        return max(map(self._loaded.scratch_bytes, range(self.num_optimization_profiles)))

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return self._loaded.scratch_bytes(profile_index)

    def get_tensor_name(self, index: int) -> str | None:
        names = list(self._loaded.all_ports)
        if 0 <= index < len(names):
            return names[index]
        self._error(ErrorCodeTRT.INVALID_ARGUMENT, f"there is no tensor {index}")
        return None

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        if self._port(name) is None:
            return TensorIOMode.NONE
        return TensorIOMode.INPUT if name in self._loaded.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        port = self._port(name)
        return DataType.FLOAT if port is None else port.dtype

    def get_tensor_shape(self, name: str) -> Dims:
        port = self._port(name)
        return Dims(()) if port is None else Dims(port.shape)

    def get_tensor_location(self, name: str) -> TensorLocation:
        self._port(name)
        return TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        port = self._port(name)
        if port is None or not 0 <= profile_index < self.num_optimization_profiles:
            return []
        fixed = (port.shape, port.shape, port.shape)
        return [Dims(shape) for shape in self._loaded.profiles[profile_index].get(name, fixed)]

    def create_execution_context(
        self,
        strategy: ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy.STATIC,
    ) -> IExecutionContext:
        wanted(strategy, ExecutionContextAllocationStrategy)
        context = IExecutionContext(self, self._loaded, strategy)
        self._contexts.add(context)
        return context

    def _port(self, name: str) -> Port | None:
        port = self._loaded.all_ports.get(wanted(name, str))
        if port is None:
            self._error(ErrorCodeTRT.INVALID_ARGUMENT, f"the engine has no tensor {name}")
        return port

    def __del__(self) -> None:
        if len(getattr(self, "_contexts", ())):
            misuse("an engine was let go of before its contexts")
