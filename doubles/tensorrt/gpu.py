"""Device memory, a stream and graphs for tests, through the genuine cuda.bindings."""

from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver as cuda
from numpy.typing import NDArray


def ok(answer: tuple[Any, ...]) -> Any:
    """Unpack an answer of cuda.bindings; raise for an error."""
    code, *values = answer
    if code != cuda.CUresult.CUDA_SUCCESS:
        raise RuntimeError(str(code))
    return values[0] if values else None


class Gpu:
    """The first device, with one stream. Close it in the thread that made it."""

    def __init__(self) -> None:
        ok(cuda.cuInit(0))
        ok(cuda.cuCtxPushCurrent(ok(cuda.cuDevicePrimaryCtxRetain(0))))
        self.stream = self.new_stream()
        self._blocks: list[int] = []

    def new_stream(self) -> int:
        return int(ok(cuda.cuStreamCreate(0)))

    def empty(self, size: int) -> int:
        address = int(ok(cuda.cuMemAlloc(size)))
        self._blocks.append(address)
        return address

    def put(self, array: NDArray[Any]) -> int:
        address = self.empty(array.nbytes)
        self.write(address, array)
        return address

    def write(self, address: int, array: NDArray[Any]) -> None:
        ok(cuda.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, self.stream))

    def copy(self, target: int, source: int, size: int) -> None:
        ok(cuda.cuMemcpyDtoDAsync(target, source, size, self.stream))

    def get(self, address: int, like: NDArray[Any]) -> NDArray[Any]:
        """Read memory behind all work of the stream."""
        array = np.empty_like(like)
        ok(cuda.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, self.stream))
        self.wait()
        return array

    def wait(self, stream: int | None = None) -> None:
        ok(cuda.cuStreamSynchronize(self.stream if stream is None else stream))

    def event(self) -> int:
        return int(ok(cuda.cuEventCreate(0)))

    def reached(self, event: int) -> bool:
        return bool(cuda.cuEventQuery(event)[0] == cuda.CUresult.CUDA_SUCCESS)

    def capture(self, work: Callable[[], object]) -> Callable[[], None]:
        """Make a graph of what `work` enqueues; the result launches it."""
        ok(cuda.cuStreamBeginCapture(self.stream, cuda.CUstreamCaptureMode(1)))
        try:
            work()
        finally:
            graph = ok(cuda.cuStreamEndCapture(self.stream))
        whole = ok(cuda.cuGraphInstantiate(graph, 0))
        return lambda: ok(cuda.cuGraphLaunch(whole, self.stream))

    def close(self) -> None:
        for address in self._blocks:
            cuda.cuMemFree(address)
        cuda.cuStreamDestroy(self.stream)
        cuda.cuCtxPopCurrent()
        cuda.cuDevicePrimaryCtxRelease(0)
