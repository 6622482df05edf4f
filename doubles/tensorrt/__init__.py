"""A double of TensorRT: its errors, its order of calls and its asynchrony are TensorRT's, its
arithmetic is ONNX Runtime's.

Enums, Dims, loggers and recorders are the genuine bindings' own. `api` is what users import. What
the double does not prove: that TensorRT takes a graph, its numbers, its speed, its use of memory.
"""

import sys
from importlib import import_module

from doubles import genuine


def install() -> None:
    """Let `import tensorrt` give the double, in this process, on the double of libcuda.

    Raises `genuine.PartsMissingError`.
    """
    genuine.load()
    sys.modules["tensorrt"] = import_module("doubles.tensorrt.api")
