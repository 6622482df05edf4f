"""Small graphs that TensorRT refuses, or that we have thought it does, one for each rule."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from doubles.tensorrt.models import FLOAT, HALF, INT64, UINT8, binary, model, node, unary

DOUBLE, INT32, BOOL = TensorProto.DOUBLE, TensorProto.INT32, TensorProto.BOOL
TWO_TYPES = ("Add", "Mul", "Pow", "MatMul", "Gemm", "Concat", "Max", "Less")


def mistakes() -> Mapping[str, bytes]:
    """Each with a name for the table in doubles/README.md."""
    two_types = {f"{op} of float32 and float16": _binary(op, FLOAT, HALF) for op in TWO_TYPES}
    return {
        **two_types,
        "an unknown operator (Det)": unary("Det", FLOAT, FLOAT),
        "an operator of nobody (NonsenseOp)": unary("NonsenseOp", FLOAT, FLOAT),
        "Conv with weights of float16": _convolution(np.float16),
        "BatchNormalization with weights of float16": _normalised(np.float16),
        "Where between float32 and float16": _chosen(),
        "bytes that meet Transpose": unary("Transpose", UINT8, UINT8),
        "bytes that meet Add": binary("Add", UINT8, UINT8),
        "bytes cast to int64": unary("Cast", UINT8, INT64, to=INT64),
        "bytes cast to int32": unary("Cast", UINT8, INT32, to=INT32),
        "bytes cast to bool": unary("Cast", UINT8, BOOL, to=BOOL),
        "bytes within the network": _through(UINT8),
        "bytes as a weight": _weighed(np.ones(2, np.uint8)),
        "float64 as input": unary("Relu", DOUBLE, DOUBLE),
        "float64 within the network": _through(DOUBLE),
        "float64 as a weight": _weighed(np.ones(2, np.float64)),
        "uint32 within the network": _through(TensorProto.UINT32),
        "int16 within the network": _through(TensorProto.INT16),
        "a network without outputs": model([], [("x", FLOAT, [2])], []),
        "a cycle of two nodes": model(
            [node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])],
            [("x", FLOAT, [2])],
            [("b", FLOAT, [2])],
        ),
        "a missing weight": model(
            [node("Add", ["x", "nothing"], ["y"])], [("x", FLOAT, [2])], [("y", FLOAT, [2])]
        ),
        "shapes that do not fit": model(
            [node("Add", ["a", "b"], ["y"])],
            [("a", FLOAT, [2]), ("b", FLOAT, [3])],
            [("y", FLOAT, [3])],
        ),
        "bytes that are no model": b"\xff\xffnot a model",
        "Identity of float16 called float32": unary("Identity", HALF, FLOAT),
    }


def fine() -> Mapping[str, bytes]:
    """Graphs beside them that both take."""
    return {
        "Add of float32": binary("Add", FLOAT, FLOAT),
        "Add of float16": binary("Add", HALF, HALF),
        "Add of int64": binary("Add", INT64, INT64),
        "bytes cast to float32": unary("Cast", UINT8, FLOAT, to=FLOAT),
        "bytes cast to float16": unary("Cast", UINT8, HALF, to=HALF),
        "Conv of float32": _convolution(np.float32),
        "BatchNormalization of float32": _normalised(np.float32),
        "NonZero, whose size depends on values": model(
            [node("NonZero", ["x"], ["y"])], [("x", FLOAT, [2, 2])], [("y", INT64, [2, "any"])]
        ),
        "int8 with scales (Q/DQ)": _quantised(np.int8, 0),
        "an LSTM": _lstm(),
    }


def _binary(op: str, left: int, right: int) -> bytes:
    if op != "Less":
        return binary(op, left, right)
    return model(
        [node(op, ["a", "b"], ["y"])],
        [("a", left, [2, 2]), ("b", right, [2, 2])],
        [("y", BOOL, [2, 2])],
    )


def _convolution(kind: Any) -> bytes:
    return model(
        [node("Conv", ["x", "w"], ["y"])],
        [("x", FLOAT, [1, 1, 4, 4])],
        [("y", FLOAT, [1, 1, 2, 2])],
        w=np.ones((1, 1, 3, 3), kind),
    )


def _normalised(kind: Any) -> bytes:
    names = ("scale", "shift", "mean", "var")
    return model(
        [node("BatchNormalization", ["x", *names], ["y"])],
        [("x", FLOAT, [1, 2, 4, 4])],
        [("y", FLOAT, [1, 2, 4, 4])],
        **{name: np.ones(2, kind) for name in names},
    )


def _chosen() -> bytes:
    return model(
        [node("Where", ["c", "a", "b"], ["y"])],
        [("c", BOOL, [2]), ("a", FLOAT, [2]), ("b", HALF, [2])],
        [("y", FLOAT, [2])],
    )


def _through(kind: int) -> bytes:
    return model(
        [node("Cast", ["x"], ["b"], to=kind), node("Cast", ["b"], ["y"], to=FLOAT)],
        [("x", FLOAT, [2])],
        [("y", FLOAT, [2])],
    )


def _weighed(weight: "np.ndarray[Any, Any]") -> bytes:
    return model(
        [node("Cast", ["w"], ["wide"], to=FLOAT), node("Add", ["x", "wide"], ["y"])],
        [("x", FLOAT, [2])],
        [("y", FLOAT, [2])],
        w=weight,
    )


def _quantised(kind: Any, zero: int) -> bytes:
    return model(
        [
            node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            node("DequantizeLinear", ["wq", "scale", "zero"], ["w"]),
            node("Conv", ["d", "w"], ["y"]),
        ],
        [("x", FLOAT, [1, 1, 4, 4])],
        [("y", FLOAT, [1, 1, 2, 2])],
        scale=np.array(0.1, np.float32),
        zero=np.array(zero, kind),
        wq=np.ones((1, 1, 3, 3), kind),
    )


def _lstm() -> bytes:
    units = 3
    weights = {name: np.zeros([1, 4 * units, units], np.float32) for name in ("w", "r")}
    return model(
        [node("LSTM", ["x", "w", "r"], ["y"], hidden_size=units)],
        [("x", FLOAT, [1, 1, units])],
        [("y", FLOAT, [1, 1, 1, units])],
        **weights,
    )


def quantised_wrongly() -> Mapping[str, bytes]:
    """Quantised graphs that are not TensorRT's: its int8 is symmetric."""
    return {
        "int8 with a zero point of 3": _quantised(np.int8, 3),
        "uint8 with scales (Q/DQ)": _quantised(np.uint8, 128),
    }
