"""Lets genuine parts of NVIDIA's stack be imported on the double of libcuda. Once per process."""

import ctypes
import subprocess
import sys
from functools import cache
from pathlib import Path

from doubles import parts
from doubles.building import PartsMissingError

__all__ = [
    "NEWEST",
    "OLDEST",
    "PartsMissingError",
    "RealGpuError",
    "bindings",
    "load",
    "load_stubs",
    "loaded",
]

NEWEST, OLDEST = parts.NEWEST, parts.OLDEST  # TensorRT's bindings that we are held against


def bindings(version: str) -> Path:
    """Find the folder of one version of TensorRT's bindings. Raises `PartsMissingError`."""
    return parts.find_parts() / f"trt-{version}"


def load_stubs(version: str) -> None:
    """Let `tensorrt_bindings` be imported: its libraries do nothing, but they are there."""
    sys.path.append(str(bindings(version)))


def loaded() -> bool:
    """Whether the double of libcuda is in this process."""
    return load.cache_info().currsize > 0


class RealGpuError(PartsMissingError):
    """This machine has a GPU. The double would stand before it, so it is not loaded."""


COUNT_GPUS = """
import ctypes
devices = ctypes.c_int(0)
try:
    libcuda = ctypes.CDLL("libcuda.so.1")
except OSError:
    libcuda = None
if libcuda and not hasattr(libcuda, "double_alias") and libcuda.cuInit(0) == 0:
    libcuda.cuDeviceGetCount(ctypes.byref(devices))
print(devices.value)
"""


def _refuse_real_gpu() -> None:
    """Look in another process: what is loaded to look would be found in the double's place."""
    command = [sys.executable, "-S", "-c", COUNT_GPUS]
    devices = int(subprocess.run(command, capture_output=True, check=True).stdout)
    if devices > 0:
        raise RealGpuError("this machine has a real GPU: run `pytest -m gpu` on it")


@cache
def load() -> None:
    """Load the double of libcuda and let genuine bindings be imported.

    Raises `PartsMissingError`; `RealGpuError` where there is a GPU.
    """
    _refuse_real_gpu()
    site, driver = parts.find_parts() / "site", parts.find_driver()
    ctypes.CDLL(str(driver), ctypes.RTLD_GLOBAL)
    sys.path.append(str(site))
    load_stubs(NEWEST)
