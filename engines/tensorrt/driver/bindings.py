"""What we use of `pycuda.driver`, on cuda-bindings: for machines where pycuda cannot be built.

PyPI has wheels of cuda-bindings, and of pycuda only the source. Names, arguments and exceptions are
pycuda's.
"""

from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import DTypeLike, NDArray


class CallError(Exception):
    """A call of the driver failed, or there is no driver."""


class DeviceFullError(CallError):
    """The GPU has too little memory."""


class GpuFacts:
    """Facts of a device that are asked for by number."""

    MULTIPROCESSOR_COUNT = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT


def _call(name: str, *arguments: object) -> Any:
    """Call the driver; returns its only result, or None. Raises `CallError`."""
    try:
        code, *results = getattr(driver, name)(*arguments)
    except RuntimeError as exc:  # libcuda.so.1 cannot be loaded
        raise CallError(f"{name}: {exc}") from exc
    if code == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise DeviceFullError(f"{name} failed: out of memory")
    if code != driver.CUresult.CUDA_SUCCESS:
        raise CallError(f"{name} failed: {code.name}")
    return results[0] if results else None


def init() -> None:
    """Begin; must be called before anything else."""
    _call("cuInit", 0)


def get_driver_version() -> int:
    """The newest CUDA version that the driver knows, as 13000."""
    return int(_call("cuDriverGetVersion"))


class Gpu:
    """A GPU by its number."""

    def __init__(self, number: int) -> None:
        self._device = _call("cuDeviceGet", number)

    @staticmethod
    def count() -> int:
        """Number of GPUs."""
        return int(_call("cuDeviceGetCount"))

    def name(self) -> str:
        """Its product name."""
        name: bytes = _call("cuDeviceGetName", 256, self._device)
        return name.partition(b"\0")[0].decode()

    def compute_capability(self) -> tuple[int, int]:
        """Major and minor."""
        attribute = driver.CUdevice_attribute
        return (
            self.get_attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            self.get_attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
        )

    def get_attribute(self, attribute: object) -> int:
        """One of `device_attribute`."""
        return int(_call("cuDeviceGetAttribute", attribute, self._device))

    def total_memory(self) -> int:
        """Bytes."""
        return int(_call("cuDeviceTotalMem", self._device))

    def retain_primary_context(self) -> "PrimaryContext":
        """Get the context that all libraries in the process share."""
        return PrimaryContext(self._device, _call("cuDevicePrimaryCtxRetain", self._device))


class PrimaryContext:
    """A primary context."""

    def __init__(self, device: object, context: object) -> None:
        self._device, self._context = device, context

    def push(self) -> None:
        """Make it this thread's current one."""
        _call("cuCtxPushCurrent", self._context)

    @staticmethod
    def pop() -> None:
        """Take the current one off this thread."""
        _call("cuCtxPopCurrent")

    def detach(self) -> None:
        """Release it."""
        _call("cuDevicePrimaryCtxRelease", self._device)


class WorkQueue:
    """A queue of work. Destroyed with the object, while its context is current."""

    def __init__(self) -> None:
        self.handle = int(_call("cuStreamCreate", 0))

    def synchronize(self) -> None:
        """Wait until everything queued is done."""
        _call("cuStreamSynchronize", self.handle)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            driver.cuStreamDestroy(self.handle)


class DeviceAllocation:
    """Memory of the device; `int` gives its address."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        """Give it back."""
        _call("cuMemFree", self._address)


def mem_alloc(size: int) -> DeviceAllocation:
    """Allocate bytes."""
    return DeviceAllocation(int(_call("cuMemAlloc", size)))


class PagelockedHostAllocation:
    """Pinned memory of the host, which is the `base` of an array over it."""

    def __init__(self, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> None:
        size = max(int(np.prod(shape)) * dtype.itemsize, 1)
        self._address = int(_call("cuMemHostAlloc", size, 0))
        self.__array_interface__ = {
            "data": (self._address, False),
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }

    def free(self) -> None:
        """Give it back. No array over it may be used any more."""
        _call("cuMemFreeHost", self._address)


def pagelocked_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Make an array of zeros in pinned memory."""
    array: NDArray[Any] = np.asarray(PagelockedHostAllocation(shape, np.dtype(dtype)))
    array[...] = 0
    return array


def memcpy_htod_async(dest: int, src: NDArray[Any], stream: WorkQueue) -> None:
    """Queue a copy to the device."""
    _call("cuMemcpyHtoDAsync", dest, src.ctypes.data, src.nbytes, stream.handle)


def memcpy_dtoh_async(dest: NDArray[Any], src: int, stream: WorkQueue) -> None:
    """Queue a copy to the host."""
    _call("cuMemcpyDtoHAsync", dest.ctypes.data, src, dest.nbytes, stream.handle)


def memcpy_dtod_async(dest: int, src: int, size: int, stream: WorkQueue) -> None:
    """Queue a copy within the device."""
    _call("cuMemcpyDtoDAsync", dest, src, size, stream.handle)


def memset_d8_async(dest: int, data: int, size: int, stream: WorkQueue) -> None:
    """Queue bytes of one value."""
    _call("cuMemsetD8Async", dest, data, size, stream.handle)


Error, MemoryError, Device = CallError, DeviceFullError, Gpu  # noqa: A001 - pycuda's names
Context, Stream, device_attribute = PrimaryContext, WorkQueue, GpuFacts
