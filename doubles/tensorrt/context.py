"""An execution context: shapes and addresses are set, then a run is enqueued."""

import threading
import weakref
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import combinations, product
from typing import Concatenate, ParamSpec, TypeVar

from tensorrt_bindings import (
    Dims,
    ErrorCodeTRT,
    ExecutionContextAllocationStrategy,
    ProfilingVerbosity,
)

from doubles.tensorrt import driver
from doubles.tensorrt.enqueued import Life, Place, Run, enqueue
from doubles.tensorrt.loaded import Loaded
from doubles.tensorrt.ports import shape_of
from doubles.tensorrt.shapes import Shapes
from doubles.tensorrt.trouble import Reporting, misuse, number, wanted

ALIGNMENT = 256  # by NvInferRuntime.h, of every address
P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate["IExecutionContext", P], R]


def by_one_thread(failure: R) -> Callable[[Method[P, R]], Method[P, R]]:
    """Answer `failure` to a second thread that comes while the first is still inside."""

    def decorate(method: Method[P, R]) -> Method[P, R]:
        @wraps(method)
        def guarded(self: "IExecutionContext", /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not self._inside.acquire(blocking=False):
                text = f"{method.__name__}: another thread uses the context"
                self._error(ErrorCodeTRT.INVALID_STATE, text)
                return failure
            try:
                return method(self, *args, **kwargs)
            finally:
                self._inside.release()

        return guarded

    return decorate


class IExecutionContext(Reporting):
    """Made by `ICudaEngine.create_execution_context`. One thread and one stream at a time."""

    name = ""
    enqueue_emits_profile = True
    nvtx_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY

    def __init__(
        self, engine: Reporting, loaded: Loaded, strategy: ExecutionContextAllocationStrategy
    ) -> None:
        self._engine = weakref.ref(engine)
        self._loaded, self._strategy = loaded, strategy
        self._logger, self._recorder = engine._logger, engine._recorder
        self._shapes = Shapes(loaded)
        self._addresses = dict.fromkeys(loaded.all_ports, 0)
        self._scratch = (0, 0)
        self._consumed_event = 0
        self._switched = threading.Event()
        self._switched.set()
        self._settled = False  # whether a run has done what TensorRT puts off after a new shape
        self._inside = threading.Lock()
        self._life = Life()

    @property
    def engine(self) -> Reporting | None:
        return self._engine()

    @property
    def active_optimization_profile(self) -> int:
        return self._shapes.profile or 0

    @property
    def all_binding_shapes_specified(self) -> bool:
        return not self._shapes.missing()

    @by_one_thread(failure=False)
    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if not 0 <= number(profile_index) < len(self._loaded.profiles):
            return self._refuse(f"there is no profile {profile_index}")
        if driver.capturing(number(stream_handle)):
            return self._refuse("a profile cannot be set in a stream that is captured")
        switched = threading.Event()
        if code := enqueue(number(stream_handle), switched.set, None):
            return self._refuse(f"CUDA error {code} where the profile was to be set")
        self._switched = switched
        self._settled = False
        self._shapes.choose(number(profile_index))
        return True

    @by_one_thread(failure=False)
    def set_input_shape(self, name: str, shape: Dims | tuple[int, ...] | list[int]) -> bool:
        sizes = shape_of(shape)
        if reason := self._shapes.refusal(wanted(name, str), sizes):
            return self._refuse(reason)
        self._settled &= self._shapes.of(name) == sizes
        self._shapes.set(name, sizes)
        return True

    @by_one_thread(failure=False)
    def set_tensor_address(self, name: str, memory: int) -> bool:
        if wanted(name, str) not in self._addresses:
            return self._refuse(f"the engine has no tensor {name}")
        if number(memory) % ALIGNMENT:
            return self._refuse(f"{name}: {number(memory):#x} is not aligned to {ALIGNMENT} bytes")
        self._addresses[name] = number(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(wanted(name, str), 0)

    def get_tensor_shape(self, name: str) -> Dims:
        if wanted(name, str) not in self._addresses:
            self._refuse(f"the engine has no tensor {name}")
            return Dims(())
        return Dims(self._shapes.of(name))

    def infer_shapes(self) -> list[str]:
        for conflict in self._shapes.conflicts():
            self._refuse(conflict)
            raise RuntimeError("infer_shapes error code: -1")
        return self._shapes.missing()

    @by_one_thread(failure=None)
    def set_device_memory(self, memory: int, size: int) -> None:
        self._scratch = (number(memory), number(size))

    @by_one_thread(failure=False)
    def set_input_consumed_event(self, event: int) -> bool:
        self._consumed_event = number(event)
        return True

    def get_input_consumed_event(self) -> int:
        return self._consumed_event

    @by_one_thread(failure=False)
    def execute_async_v3(self, stream_handle: int) -> bool:
        stream = number(stream_handle)
        if stream in driver.DEFAULT_STREAMS:
            self._warn("the default stream costs a cudaDeviceSynchronize() in each enqueueV3()")
        for reason in (*self._unready(), *self._unsettled(stream)):
            return self._refuse(f"enqueueV3: {reason}")
        if not set(self._life.unfinished.values()) <= {stream}:
            driver.fail(stream, driver.LAUNCH_FAILED)
            return self._refuse("enqueueV3: the context is not finished on another stream")
        inputs, outputs = self._places()
        run = Run(self._loaded, self._life, inputs, outputs, self._scratch, self._switched)
        self._settled = True
        code = enqueue(stream, run, self._life)
        if code == 0 and self._consumed_event:
            code = driver.record(self._consumed_event, stream)
        return code == 0 or self._refuse(f"enqueueV3: CUDA error {code}")

    def _unready(self) -> Iterator[str]:
        if self._shapes.profile is None:
            yield "no optimization profile is set"
        yield from (f"the shape of {name} is not set" for name in self._shapes.missing())
        yield from self._shapes.conflicts()
        yield from (f"{name} has no address" for name, a in self._addresses.items() if not a)
        if not self._shapes.missing():
            yield from self._overlaps()
            yield from self._cramped()

    def _unsettled(self, stream: int) -> Iterator[str]:
        if not self._settled and driver.capturing(stream):
            yield "after a new shape or profile, one run must come before the one that is captured"

    def _overlaps(self) -> Iterator[str]:
        inputs, outputs = self._places()
        for one, other in (*product(outputs, inputs), *combinations(outputs, 2)):
            if one.overlaps(other):
                yield f"{one.port.name} and {other.port.name} overlap in memory"

    def _cramped(self) -> Iterator[str]:
        if self._strategy == ExecutionContextAllocationStrategy.USER_MANAGED:
            needed = self._loaded.scratch_bytes(self._shapes.profile or 0)
            memory, size = self._scratch
            if not memory or memory % ALIGNMENT or size < needed:
                yield f"{needed} aligned bytes of device memory are needed, {size} are set"

    def _places(self) -> tuple[list[Place], list[Place]]:
        def place(name: str) -> Place:
            port = self._loaded.all_ports[name]
            return Place(port, self._shapes.of(name), self._addresses[name])

        return list(map(place, self._loaded.inputs)), list(map(place, self._loaded.outputs))

    def _refuse(self, text: str) -> bool:
        self._error(ErrorCodeTRT.INVALID_ARGUMENT, f"IExecutionContext::{text}")
        return False

    def __del__(self) -> None:
        life: Life | None = getattr(self, "_life", None)
        if life is not None:
            life.ended = True
            if life.unfinished:
                misuse("a context was let go of before its runs had finished")
