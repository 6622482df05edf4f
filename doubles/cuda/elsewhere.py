"""Calls of the driver in another thread, which first has to enter the context there."""

import ctypes
import threading
from collections.abc import Callable


def _libcuda() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")  # the double: it is loaded


def context() -> int:
    """The context of this thread."""
    found = ctypes.c_void_p()
    assert _libcuda().cuCtxGetCurrent(ctypes.byref(found)) == 0
    assert found.value is not None
    return found.value


def start(call: Callable[[ctypes.CDLL], object]) -> threading.Thread:
    """Let another thread call something in this one's context."""
    ours, libcuda = ctypes.c_void_p(context()), _libcuda()

    def enter() -> None:
        libcuda.cuCtxPushCurrent_v2(ours)
        call(libcuda)
        libcuda.cuCtxPopCurrent_v2(None)

    thread = threading.Thread(target=enter)
    thread.start()
    return thread
