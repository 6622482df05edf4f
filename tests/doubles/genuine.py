"""Where the genuine parts of NVIDIA's stack are that tests use, and the double of libcuda.

`DOUBLES_PARTS` names a folder with `lib/libcuda.so.1` (the double), `site` (cuda.bindings) and
`trt-<version>` (tensorrt_bindings, with the three stub libraries that it is linked to).
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

NEWEST, OLDEST = "11.4.0.106", "10.16.1.11"  # of the bindings that we are held against
FOLDER = "DOUBLES_PARTS"


class PartsMissingError(Exception):
    """The genuine parts are not here. The message says the way out."""


def folder() -> Path:
    """Find the parts. Raises `PartsMissingError`."""
    named = os.environ.get(FOLDER)
    if not named or not Path(named).is_dir():
        raise PartsMissingError(f"{FOLDER} names no folder of genuine parts ({named})")
    return Path(named)


def bindings(version: str) -> Path:
    """Find the folder of one version of TensorRT's bindings. Raises `PartsMissingError`."""
    return folder() / f"trt-{version}"


def load_stubs(version: str) -> None:
    """Let `tensorrt_bindings` be imported: its libraries do nothing, but they are there."""
    for library in sorted((bindings(version) / "tensorrt_bindings").glob("lib*.so.*")):
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    sys.path.append(str(bindings(version)))


def loaded() -> bool:
    """Whether the double of libcuda is in this process."""
    return load.cache_info().currsize > 0


@cache
def load() -> None:
    """Load the double of libcuda, find genuine bindings. Raises `PartsMissingError`."""
    ctypes.CDLL(str(folder() / "lib" / "libcuda.so.1"), ctypes.RTLD_GLOBAL)
    sys.path.append(str(folder() / "site"))
    load_stubs(NEWEST)
