"""A double of TensorRT: its errors, its order of calls and its asynchrony are TensorRT's, its
arithmetic is ONNX Runtime's.

Enums, Dims, loggers and recorders are the genuine bindings' own. `api` is what users import. What
the double does not prove: that TensorRT takes a graph, its numbers, its speed, its use of memory.
"""

import os
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder

from doubles import genuine


class WithoutPycuda(MetaPathFinder):
    """Lets `import pycuda` fail as where it is not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Python calls this for each module."""
        del path, target
        if name == "pycuda":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def install() -> None:
    """Let `import tensorrt` give the double, in this process, on the double of libcuda.

    With DOUBLE_LIBRARY=tensorrt_rtx it is TensorRT for RTX that is installed, and TensorRT is not.
    With DOUBLE_PYCUDA=no pycuda is not.
    Raises `genuine.PartsMissingError`.
    """
    genuine.load()
    if os.environ.get("DOUBLE_PYCUDA") == "no":
        sys.meta_path.insert(0, WithoutPycuda())
    if os.environ.get("DOUBLE_LIBRARY") == "tensorrt_rtx":
        sys.modules["tensorrt_rtx"] = import_module("doubles.tensorrt.rtx")
    else:
        sys.modules["tensorrt"] = import_module("doubles.tensorrt.api")
