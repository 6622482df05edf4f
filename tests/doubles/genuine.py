"""Lets genuine parts of NVIDIA's stack be imported on the double of libcuda. Once per process."""

import ctypes
import sys
from functools import cache
from pathlib import Path

from tests.doubles import parts
from tests.doubles.building import PartsMissingError

__all__ = ["NEWEST", "OLDEST", "PartsMissingError", "bindings", "load", "load_stubs", "loaded"]

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


@cache
def load() -> None:
    """Load the double of libcuda and let genuine bindings be imported."""
    site, driver = parts.find_parts() / "site", parts.find_driver()
    ctypes.CDLL(str(driver), ctypes.RTLD_GLOBAL)
    sys.path.append(str(site))
    load_stubs(NEWEST)
