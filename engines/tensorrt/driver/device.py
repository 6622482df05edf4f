"""One GPU: its context, its stream, its memory. The only place that uses pycuda's calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from numpy.typing import DTypeLike, NDArray

from engines.errors import DeviceError
from engines.tensorrt.parts import FIRST_GPU, find_driver

cuda = find_driver()  # pycuda.driver, or the same calls on cuda-bindings
SMALLEST = 256  # bytes; also the alignment that TensorRT wants


class Device:
    """The first GPU, for the thread that makes this object; no other thread may use it.

    All work is queued on one stream, so it runs in the order in which it was queued. The
    context is the GPU's primary one: TensorRT and other libraries in the process share it. What is
    allocated here is freed by `close`. Methods raise pycuda's errors, which `guard` turns into
    `DeviceError`.
    """

    def __init__(self) -> None:
        cuda.init()
        self._context = cuda.Device(FIRST_GPU).retain_primary_context()
        self._context.push()
        try:
            self._stream = cuda.Stream()
        except cuda.Error:
            self._release()  # a context that stays pushed aborts the process at its end
            raise
        self.stream: int = self._stream.handle
        self.waits = 0  # number of waits so far
        self.wait_s = 0.0
        self._memories: dict[int, tuple[Any, int]] = {}  # by address; with size
        self._pinned: list[Any] = []

    @property
    def memory_bytes(self) -> int:
        """Bytes of device memory allocated here."""
        return sum(size for _, size in self._memories.values())

    def allocate(self, size: int) -> int:
        """Allocate `size` bytes of device memory, contents undefined; returns the address."""
        memory = cuda.mem_alloc(max(size, SMALLEST))
        self._memories[int(memory)] = memory, max(size, SMALLEST)
        return int(memory)

    def free(self, address: int) -> None:
        """Free memory. Nothing that is queued may still use it."""
        memory, _ = self._memories.pop(address)
        memory.free()

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Make a host array of zeros in pinned memory, for copies while the processor goes on.

        It must not be touched after `close`.
        """
        array: NDArray[Any] = cuda.pagelocked_zeros(shape, dtype)
        self._pinned.append(array.base)
        return array

    def upload(self, address: int, source: NDArray[Any]) -> None:
        """Queue a copy of a pinned array, or of whole rows of one, to the device."""
        cuda.memcpy_htod_async(address, source, self._stream)

    def download(self, target: NDArray[Any], address: int) -> None:
        """Queue a copy from the device into a pinned array, or into whole rows of one."""
        cuda.memcpy_dtoh_async(target, address, self._stream)

    def copy(self, target: int, source: int, size: int) -> None:
        """Queue a copy within the device."""
        cuda.memcpy_dtod_async(target, source, size, self._stream)

    def clear(self, address: int, size: int) -> None:
        """Queue zeros."""
        cuda.memset_d8_async(address, 0, size, self._stream)

    def wait(self) -> None:
        """Wait until everything queued is done."""
        began = monotonic()
        self._stream.synchronize()
        self.wait_s += monotonic() - began
        self.waits += 1

    def close(self) -> None:
        """Free everything and release the GPU."""
        for pinned in self._pinned:
            pinned.free()
        for memory, _ in self._memories.values():
            memory.free()
        self._pinned.clear()
        self._memories.clear()
        del self._stream
        self._release()

    def _release(self) -> None:
        cuda.Context.pop()
        self._context.detach()


@contextmanager
def guard(what: str) -> Iterator[None]:
    """Turn pycuda's errors into `DeviceError`, whose message says what was being done."""
    try:
        yield
    except cuda.MemoryError as exc:
        raise DeviceError(
            f"the GPU has too little memory for {what} ({exc}): lower max_batch, run fewer streams"
            " in a worker, or see with `nvidia-smi` who else uses it"
        ) from exc
    except cuda.Error as exc:
        raise DeviceError(
            f"the GPU failed at {what} ({exc}); its memory is lost with the process, which ends:"
            " the next one restores it from the log"
        ) from exc
