"""Tiny bundles for tests: real graphs, well below a millisecond a step, frames far apart."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.model.bundle import Bundle, load_bundle, write_bundle
from engines.model.json_parts import Part
from engines.model.ports import Port

SIDE = 16
FEATURES = 6
UNITS = 8
LABELS = ("stand", "walk", "run")

Cell = Literal["lstm", "gru"]
Activation = Literal["softmax", "sigmoid"]
Fit = Literal["stretch", "letterbox", "crop"]
Node = onnx.NodeProto
op = helper.make_node


def tiny(path: Path, **options: Any) -> Bundle:
    """`write_tiny` and load."""
    return load_bundle(write_tiny(path, **options))


def write_tiny(
    path: Path,
    *,
    cell: Cell = "lstm",
    activation: Activation = "softmax",
    explodes: bool = False,
    name: str = "tiny",
    labels: Sequence[str] = LABELS,
    rate_hz: float | None = None,
    fit: Fit = "stretch",
    skeleton: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a bundle for frames of 16 x 16. `explodes`: a picture of nothing but 255 breaks it."""
    rng = np.random.default_rng(seed)
    encoder = encoder_graph(rng, explodes=explodes)
    head = (lstm_graph if cell == "lstm" else gru_graph)(rng, len(labels))
    words = description(cell=cell, activation=activation, labels=labels)
    words["name"] = name
    words["input"]["rate_hz"] = rate_hz
    words["input"]["fit"] = fit
    words |= {} if skeleton is None else {"skeleton": skeleton}
    return write_bundle(path, words, encoder=encoder, head=head)


def description(*, cell: Cell, activation: Activation, labels: Sequence[str]) -> dict[str, Any]:
    state = [
        {
            "name": name,
            "input": f"{name}_in",
            "output": f"{name}_out",
            "shape": [UNITS],
            "dtype": "float32",
        }
        for name in ({"lstm": ("h", "c"), "gru": ("h",)}[cell])
    ]
    return {
        "schema": 1,
        "name": "tiny",
        "labels": list(labels),
        "activation": activation,
        "input": {
            "height": SIDE,
            "width": SIDE,
            "fit": "stretch",
            "colour": "rgb",
            "mean": [127.5, 127.5, 127.5],
            "std": [127.5, 127.5, 127.5],
            "rate_hz": None,
        },
        "features": FEATURES,
        "state": state,
        "training": {"weights": "random"},
    }


def encoder_graph(rng: np.random.Generator, *, explodes: bool = False) -> bytes:
    """Sixteen patches of 4 x 4 through four filters, then a dense layer: features of about one."""
    weights = {
        "middle": np.float32(127.5),
        "kernel": normal(rng, 4, 3, 4, 4, fan=12),
        "dense": normal(rng, 64, FEATURES, fan=16),
        "white": np.float32(255),
        "one": np.float32(1),
        "picture": np.array([1, 2, 3]),
        "all_axes": np.array([-1]),
    }
    nodes = [
        op("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT),
        op("Div", ["raw", "middle"], ["doubled"]),
        op("Sub", ["doubled", "one"], ["scaled"]),  # -1..1
        op("Transpose", ["scaled"], ["x"], perm=[0, 3, 1, 2]),  # (N, 3, H, W)
        op("Conv", ["x", "kernel"], ["patches"], kernel_shape=[4, 4], strides=[4, 4]),
        op("Relu", ["patches"], ["lit"]),
        op("Flatten", ["lit"], ["flat"]),  # (N, 64)
        op("MatMul", ["flat", "dense"], ["dull" if explodes else "features"]),
    ]
    if explodes:  # divide by zero if even the darkest value is 255, else by one
        nodes += [
            op("ReduceMin", ["raw", "picture"], ["darkest"], keepdims=0),  # (N,)
            op("Div", ["darkest", "white"], ["brightness"]),
            op("Floor", ["brightness"], ["is_white"]),
            op("Sub", ["one", "is_white"], ["is_dull"]),
            op("Unsqueeze", ["is_dull", "all_axes"], ["divisor"]),  # (N, 1)
            op("Div", ["dull", "divisor"], ["features"]),
        ]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    return graph(nodes, weights, inputs=[frames], outputs=[floats("features", FEATURES)])


def lstm_graph(rng: np.random.Generator, classes: int = len(LABELS)) -> bytes:
    weights = {
        "kernel": normal(rng, FEATURES + UNITS, 4 * UNITS, fan=6),
        "bias": normal(rng, 4 * UNITS, fan=4),
        "classes": normal(rng, UNITS, classes, fan=1),
    }
    nodes = [
        op("Concat", ["features", "h_in"], ["both"], axis=1),
        op("Gemm", ["both", "kernel", "bias"], ["gates"]),
        op("Split", ["gates"], ["i", "f", "g", "o"], axis=1, num_outputs=4),
        op("Sigmoid", ["i"], ["si"]),
        op("Sigmoid", ["f"], ["sf"]),
        op("Tanh", ["g"], ["tg"]),
        op("Sigmoid", ["o"], ["so"]),
        op("Mul", ["sf", "c_in"], ["kept"]),
        op("Mul", ["si", "tg"], ["added"]),
        op("Add", ["kept", "added"], ["c_out"]),
        op("Tanh", ["c_out"], ["shown"]),
        op("Mul", ["so", "shown"], ["h_out"]),
        op("MatMul", ["h_out", "classes"], ["logits"]),
    ]
    return graph(
        nodes,
        weights,
        inputs=[floats("features", FEATURES), floats("h_in", UNITS), floats("c_in", UNITS)],
        outputs=[floats("logits", classes), floats("h_out", UNITS), floats("c_out", UNITS)],
    )


def gru_graph(rng: np.random.Generator, classes: int = len(LABELS)) -> bytes:
    weights = {
        "gate_kernel": normal(rng, FEATURES + UNITS, 2 * UNITS, fan=6),
        "kernel": normal(rng, FEATURES + UNITS, UNITS, fan=6),
        "classes": normal(rng, UNITS, classes, fan=1),
        "one": np.float32(1),
    }
    nodes = [
        op("Concat", ["features", "h_in"], ["both"], axis=1),
        op("MatMul", ["both", "gate_kernel"], ["gates"]),
        op("Sigmoid", ["gates"], ["open"]),
        op("Split", ["open"], ["reset", "update"], axis=1, num_outputs=2),
        op("Mul", ["reset", "h_in"], ["recalled"]),
        op("Concat", ["features", "recalled"], ["both_again"], axis=1),
        op("MatMul", ["both_again", "kernel"], ["raw"]),
        op("Tanh", ["raw"], ["candidate"]),
        op("Sub", ["one", "update"], ["novelty"]),
        op("Mul", ["update", "h_in"], ["kept"]),
        op("Mul", ["novelty", "candidate"], ["added"]),
        op("Add", ["kept", "added"], ["h_out"]),
        op("MatMul", ["h_out", "classes"], ["logits"]),
    ]
    return graph(
        nodes,
        weights,
        inputs=[floats("features", FEATURES), floats("h_in", UNITS)],
        outputs=[floats("logits", classes), floats("h_out", UNITS)],
    )


class Letters(Part):
    """A kind of input that the product does not have: words as bytes, filled up with zeros."""

    kind: Literal["letters"] = "letters"
    length: int = 12

    @property
    def timed(self) -> bool:
        """They are said at moments."""
        return True

    @property
    def rate_hz(self) -> None:
        """Letters have no rate."""

    def gap_after_s(self, setting_s: float) -> float | None:
        """The worker's setting counts."""
        return setting_s

    @property
    def array(self) -> Port:
        """The encoder's input: uint8 (N, L)."""
        return Port("letters", np.dtype(np.uint8), (self.length,))

    def samples(self, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw words."""
        return rng.integers(97, 123, (count, self.length), dtype=np.uint8)


def letters(path: Path, **options: Any) -> Bundle:
    """A tiny bundle whose encoder takes letters (N, 12) instead of frames."""
    taken: Any = Letters()
    dense = normal(np.random.default_rng(0), taken.length, FEATURES, fan=4)
    nodes = [
        op("Cast", ["letters"], ["raw"], to=TensorProto.FLOAT),
        op("Div", ["raw", "most"], ["scaled"]),
        op("MatMul", ["scaled", "dense"], ["features"]),
    ]
    port = helper.make_tensor_value_info("letters", TensorProto.UINT8, ["N", taken.length])
    weights = {"most": np.float32(128), "dense": dense}
    encoder = graph(nodes, weights, inputs=[port], outputs=[floats("features", FEATURES)])
    return replace(tiny(path, **options), input=taken, encoder=encoder)


def lettered(
    path: Path,
    kind: Literal["text", "bases"] = "text",
    *,
    length: int = 12,
    fit: Literal["cut", "refuse"] = "refuse",
    gap_reset_s: float | None = None,
) -> Bundle:
    """A tiny bundle for text or bases, written and loaded as any other."""
    rng = np.random.default_rng(length)
    nodes = [
        op("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT),
        op("Div", ["raw", "most"], ["scaled"]),
        op("MatMul", ["scaled", "dense"], ["features"]),
    ]
    port = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", length])
    weights = {"most": np.float32(128), "dense": normal(rng, length, FEATURES, fan=4)}
    words = description(cell="gru", activation="softmax", labels=LABELS)
    words["input"] = {"kind": kind, "length": length, "fit": fit, "gap_reset_s": gap_reset_s}
    encoder = graph(nodes, weights, inputs=[port], outputs=[floats("features", FEATURES)])
    return load_bundle(write_bundle(path, words, encoder=encoder, head=gru_graph(rng)))


def frames(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Draw frames (N, 16, 16, 3) that a tiny encoder tells apart at once."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 255, (count, 4, 4, 3), dtype=np.uint8)
    return patches.repeat(4, axis=1).repeat(4, axis=2)


def white() -> NDArray[np.uint8]:
    """The frame (16, 16, 3) that breaks a bundle which `explodes`."""
    return np.full((SIDE, SIDE, 3), 255, np.uint8)


def normal(rng: np.random.Generator, *shape: int, fan: int) -> NDArray[np.float32]:
    drawn: NDArray[np.float32] = (rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)
    return drawn


def floats(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])


def graph(
    nodes: Sequence[Node],
    weights: Mapping[str, Any],
    *,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    opset: int = 18,
) -> bytes:
    used = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in weights.items()
        if name in used
    ]
    content = helper.make_graph(list(nodes), "tiny", list(inputs), list(outputs), tensors)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(content, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())
