"""The runtime: a plan that was made here becomes an engine."""

import weakref

from tensorrt_bindings import ErrorCodeTRT, ILogger

from doubles.tensorrt.driver import current_gpu
from doubles.tensorrt.engine import ICudaEngine
from doubles.tensorrt.loaded import Loaded
from doubles.tensorrt.plan import unsealed
from doubles.tensorrt.sealed import SealedError
from doubles.tensorrt.trouble import Reporting, misuse, wanted


class Runtime(Reporting):
    """Must outlive its engines."""

    _kind = ICudaEngine

    def __init__(self, logger: ILogger) -> None:
        self._logger, self._recorder = wanted(logger, ILogger), None
        self._host_code_allowed = False
        self._engines: weakref.WeakSet[ICudaEngine] = weakref.WeakSet()

    @property
    def logger(self) -> ILogger:
        return self._logger

    @property
    def engine_host_code_allowed(self) -> bool:
        return self._host_code_allowed

    @engine_host_code_allowed.setter
    def engine_host_code_allowed(self, allowed: bool) -> None:
        self._host_code_allowed = wanted(allowed, bool)

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        sealed = bytes(memoryview(serialized_engine))
        try:
            loaded = Loaded(unsealed(sealed, current_gpu()))
        except SealedError as exc:
            text = f"IRuntime::deserializeCudaEngine: {exc}"
            self._error(ErrorCodeTRT.INVALID_ARGUMENT, text)
            return None
        engine = self._kind(loaded, self._logger, self._recorder)
        self._engines.add(engine)
        return engine

    def __del__(self) -> None:
        if len(getattr(self, "_engines", ())):
            misuse("a runtime was let go of before its engines")
