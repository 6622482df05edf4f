"""What the double of TensorRT asks of the double of libcuda. The only place that calls it."""

import ctypes
from dataclasses import dataclass
from functools import cache

HostFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DEFAULT_STREAMS = (0, 1, 2)  # null, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD
KINDS = ("device memory", "pinned memory", "streams", "events", "graphs", "contexts")
OUT_OF_MEMORY = 2  # CUresult
ILLEGAL_ADDRESS, LAUNCH_FAILED = 700, 719  # CUresult


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a plan is made for."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int


@cache
def _libcuda() -> ctypes.CDLL:
    library = ctypes.CDLL("libcuda.so.1")  # loaded before, so its name is enough
    if not hasattr(library, "double_alias"):
        raise RuntimeError("libcuda.so.1 is not our double: load that first, see doubles")
    library.double_alias.restype = ctypes.c_void_p
    library.double_alias.argtypes = (ctypes.c_ulonglong, ctypes.c_size_t)
    library.double_fail.restype = None
    library.double_fail.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.double_live.restype = ctypes.c_long
    library.double_fail_call.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int)
    library.double_capturing.argtypes = (ctypes.c_void_p,)
    library.cuLaunchHostFunc.argtypes = (ctypes.c_void_p, HostFunction, ctypes.c_void_p)
    library.cuEventRecord.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    return library


def alias(address: int, size: int) -> int | None:
    """Say where the host can reach device memory; None if it is not within one live block."""
    found: int | None = _libcuda().double_alias(address, size)
    return found


def fail(stream: int, code: int) -> None:
    """Break the stream's context as a kernel does: all later calls return `code`."""
    _libcuda().double_fail(stream, code)


def capturing(stream: int) -> bool:
    """Whether what is enqueued now goes into a graph."""
    return bool(_libcuda().double_capturing(stream))


def launch(stream: int, function: "ctypes._CFunctionType", key: int) -> int:
    """Enqueue a call of `function(key)`; the result is CUDA's, 0 for success."""
    code: int = _libcuda().cuLaunchHostFunc(stream, function, key)
    return code


def record(event: int, stream: int) -> int:
    """Enqueue an event."""
    code: int = _libcuda().cuEventRecord(event, stream)
    return code


def live() -> dict[str, int]:
    """Count what has not been given back."""
    return {kind: _libcuda().double_live(number) for number, kind in enumerate(KINDS)}


def fail_call(function: str, nth: int, code: int) -> None:
    """Let the n-th call of a function of the driver from now on fail.

    Raises `ValueError` if there is no such function, or more is planned than the double takes.
    """
    if not _libcuda().double_fail_call(function.encode(), nth, code):
        raise ValueError(f"the driver's double cannot let {function} fail")


def reset() -> None:
    """Forget the context's error: only a new process could, with a real driver."""
    _libcuda().double_reset()


def current_gpu() -> Gpu:
    """Describe the device of the thread's context, or the first one, which TensorRT would take."""
    library, device = _libcuda(), ctypes.c_int(0)
    library.cuInit(0)
    library.cuCtxGetDevice(ctypes.byref(device))
    name, total = ctypes.create_string_buffer(256), ctypes.c_size_t()
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    library.cuDeviceComputeCapability(ctypes.byref(major), ctypes.byref(minor), device)
    return Gpu(name.value.decode(), (major.value, minor.value), total.value)
