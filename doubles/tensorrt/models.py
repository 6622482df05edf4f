"""Small ONNX models for the tests of the double."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
FLOAT, HALF, UINT8, INT64 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.UINT8,
    TensorProto.INT64,
)
Value = tuple[str, int, list[Any]]  # name, type, shape
LINES = {"x": ((1, 64), (2, 64), (4, 64))}  # a profile of `doubling`
H, W, F, U = 6, 5, 4, 3  # pixels, features, units


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    **weights: np.ndarray[Any, Any],
) -> bytes:
    """Put a graph together, opset 17."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = made.SerializeToString()
    return content


def encoder_and_cell() -> bytes:
    """A camera model in one graph: frames (N, H, W, 3) and memory (N, U) give the next memory."""
    draw = np.random.default_rng(5).standard_normal
    return model(
        [
            node("Cast", ["frames"], ["wide"], to=FLOAT),
            node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
            node("Conv", ["planes", "kernel"], ["edges"], strides=[2, 2]),
            node("ReduceMean", ["edges"], ["means"], axes=[2, 3], keepdims=0),
            node("Gemm", ["means", "into"], ["seen"]),
            node("Gemm", ["memory", "again"], ["known"]),
            node("Add", ["seen", "known"], ["sum"]),
            node("Tanh", ["sum"], ["after"]),
        ],
        [("frames", UINT8, ["N", H, W, 3]), ("memory", FLOAT, ["N", U])],
        [("after", FLOAT, ["N", U])],
        kernel=(draw((F, 3, 3, 3)) / 255).astype(np.float32),
        into=draw((F, U)).astype(np.float32),
        again=draw((U, U)).astype(np.float32),
    )


def doubling() -> bytes:
    """`y` (N, 64) is twice `x`: 256 bytes a line, so that addresses within are aligned."""
    return model(
        [node("Add", ["x", "x"], ["y"])], [("x", FLOAT, ["N", 64])], [("y", FLOAT, ["N", 64])]
    )


def column(out: str) -> bytes:
    """`y` is the sums of `x` (N, 64), its shape (`out`,) by the graph; it is (N,) in truth."""
    return model(
        [node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        [("x", FLOAT, ["N", 64])],
        [("y", FLOAT, [out])],
        axes=np.array([1]),
    )


def binary(op: str, left: int, right: int) -> bytes:
    """Two inputs of given types go into one op."""
    return model(
        [node(op, ["a", "b"], ["y"])],
        [("a", left, [2, 2]), ("b", right, [2, 2])],
        [("y", left, [2, 2])],
    )


def unary(op: str, kind: int, out: int, **attributes: Any) -> bytes:
    """One input of a given type goes into one op."""
    return model(
        [node(op, ["x"], ["y"], **attributes)], [("x", kind, [2, 2])], [("y", out, [2, 2])]
    )
