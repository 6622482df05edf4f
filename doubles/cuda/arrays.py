"""Small arrays of one number, pinned and on the device, for tests of the driver's double."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doubles.tensorrt import driver

LENGTH, SIZE = 4, 16  # numbers and bytes
UNTOUCHED = 0xCDCDCDCD


def pageable(value: int) -> NDArray[np.uint32]:
    return np.full(LENGTH, value, np.uint32)


def pinned(cuda: Any, value: int) -> NDArray[np.uint32]:
    array: NDArray[np.uint32] = cuda.pagelocked_empty(LENGTH, np.uint32)
    array[:] = value
    return array


def seen(block: Any) -> int:
    """What is in device memory now, looked at behind the driver's back."""
    alias = driver.alias(int(block), SIZE)
    assert alias is not None
    (value,) = set(np.frombuffer(ctypes.string_at(alias, SIZE), np.uint32).tolist())
    return int(value)
