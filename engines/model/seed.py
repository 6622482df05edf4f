"""The network of the article that longtake grew from, as a bundle with random weights: `seed`.

It predicts nothing; it is the workload that engines are timed and compared on. The layers are the
article's: three 3x3 convolutions with ReLU (32, 64, 128 filters, no padding), each followed by 2x2
max pooling, flattening, an LSTM of 128 units with activation ReLU, ten classes. Where the article
leaves room, this is what we chose:

- Its listing hands 86,528 flattened values to an LSTM that was built for 128, which does not fit.
  A dense layer of 128 between them makes it fit. It is linear: the convolutions before it end in
  ReLU and the LSTM after it has its gates, so a third non-linearity would only kill features.
- LSTM(activation="relu") as Keras means it: candidate and cell output go through ReLU, the gates
  stay sigmoid. Such a cell is unbounded, and whether it explodes depends on how large the features
  are. With these weights pictures give features below 0.6, and |c| stays below 0.7 over 20,000
  frames (noise, blocks, white). Features six times as large would reach infinity within 2,000.
- The weights are as Keras draws them: Glorot-uniform kernels, an orthogonal recurrent kernel, zero
  biases, forget gate bias one. Nothing is scaled down.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import JsonValue

from engines.model.bundle import write_bundle

SIDE = 224
FILTERS = (3, 32, 64, 128)
FLAT = 128 * 26 * 26  # 224 -> 222 -> 111 -> 109 -> 54 -> 52 -> 26
UNITS = 128
CLASSES = 10
OPSET = helper.make_opsetid("", 18)
IR_VERSION = 10  # fixed, so that a newer onnx package does not change the bytes

Weights = Mapping[str, NDArray[np.generic]]


def write_seed(path: Path, seed: int = 0) -> Path:
    """Write the bundle into folder `path`, and return it. Equal seeds give equal bytes."""
    rng = np.random.default_rng(seed)
    return write_bundle(path, _description(seed), encoder=_encoder(rng), head=_head(rng))


def _description(seed: int) -> dict[str, JsonValue]:
    return {
        "schema": 1,
        "name": "seed",
        "labels": [str(label) for label in range(CLASSES)],
        "activation": "softmax",
        "input": {
            "height": SIDE,
            "width": SIDE,
            "fit": "stretch",
            "colour": "rgb",
            "mean": [0.0, 0.0, 0.0],
            "std": [255.0, 255.0, 255.0],
            "rate_hz": None,
        },
        "features": UNITS,
        "state": [
            {
                "name": name,
                "input": f"{name}_in",
                "output": f"{name}_out",
                "shape": [UNITS],
                "dtype": "float32",
            }
            for name in ("h", "c")
        ],
        "training": {"weights": f"random, seed {seed}", "purpose": "timing; it predicts nothing"},
    }


def _encoder(rng: np.random.Generator) -> bytes:
    weights: dict[str, NDArray[np.generic]] = {"scale": np.array(1 / 255, np.float32)}
    nodes = [  # a cast comes first: TensorRT knows uint8 as an input only
        helper.make_node("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["raw", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["x0"], perm=[0, 3, 1, 2]),  # (N, 3, H, W)
    ]
    for layer in (1, 2, 3):
        before, after = FILTERS[layer - 1], FILTERS[layer]
        weights[f"kernel{layer}"] = _glorot(
            rng, (after, before, 3, 3), fans=(9 * before, 9 * after)
        )
        weights[f"bias{layer}"] = np.zeros(after, np.float32)
        nodes += [
            helper.make_node(
                "Conv",
                [f"x{layer - 1}", f"kernel{layer}", f"bias{layer}"],
                [f"conv{layer}"],
                kernel_shape=[3, 3],
            ),
            helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]),
            helper.make_node(
                "MaxPool", [f"relu{layer}"], [f"x{layer}"], kernel_shape=[2, 2], strides=[2, 2]
            ),
        ]
    weights["dense"] = _glorot(rng, (FLAT, UNITS), fans=(FLAT, UNITS))
    weights["dense_bias"] = np.zeros(UNITS, np.float32)
    nodes += [
        helper.make_node("Flatten", ["x3"], ["flat"]),  # (N, 86528), channel by channel
        helper.make_node("Gemm", ["flat", "dense", "dense_bias"], ["features"]),
    ]
    return _model(
        nodes,
        weights,
        inputs=[
            helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3]),
        ],
        outputs=[_floats("features", UNITS)],
    )


def _head(rng: np.random.Generator) -> bytes:
    gate_bias = np.zeros(4 * UNITS, np.float32)
    gate_bias[UNITS : 2 * UNITS] = 1.0  # forget
    weights: dict[
        str, NDArray[np.generic]
    ] = {  # gates in Keras' order: input, forget, cell, output
        "kernel": _glorot(rng, (UNITS, 4 * UNITS), fans=(UNITS, 4 * UNITS)),
        "recurrent": _orthogonal(rng, UNITS, 4 * UNITS),
        "gate_bias": gate_bias,
        "classes": _glorot(rng, (UNITS, CLASSES), fans=(UNITS, CLASSES)),
        "class_bias": np.zeros(CLASSES, np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["features", "kernel", "gate_bias"], ["from_features"]),
        helper.make_node("MatMul", ["h_in", "recurrent"], ["from_memory"]),
        helper.make_node("Add", ["from_features", "from_memory"], ["gates"]),  # (N, 4U)
        helper.make_node("Split", ["gates"], ["i", "f", "g", "o"], axis=1, num_outputs=4),
        helper.make_node("Sigmoid", ["i"], ["input_gate"]),
        helper.make_node("Sigmoid", ["f"], ["forget_gate"]),
        helper.make_node("Relu", ["g"], ["candidate"]),
        helper.make_node("Sigmoid", ["o"], ["output_gate"]),
        helper.make_node("Mul", ["forget_gate", "c_in"], ["kept"]),
        helper.make_node("Mul", ["input_gate", "candidate"], ["added"]),
        helper.make_node("Add", ["kept", "added"], ["c_out"]),
        helper.make_node("Relu", ["c_out"], ["shown"]),
        helper.make_node("Mul", ["output_gate", "shown"], ["h_out"]),
        helper.make_node("Gemm", ["h_out", "classes", "class_bias"], ["logits"]),
    ]
    return _model(
        nodes,
        weights,
        inputs=[_floats("features", UNITS), _floats("h_in", UNITS), _floats("c_in", UNITS)],
        outputs=[_floats("logits", CLASSES), _floats("h_out", UNITS), _floats("c_out", UNITS)],
    )


def _floats(name: str, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])


def _model(
    nodes: Sequence[onnx.NodeProto],
    weights: Weights,
    *,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> bytes:
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "seed", list(inputs), list(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[OPSET], ir_version=IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


def _glorot(
    rng: np.random.Generator, shape: tuple[int, ...], *, fans: tuple[int, int]
) -> NDArray[np.float32]:
    limit = np.sqrt(6 / sum(fans))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """Draw `rows` orthonormal rows. Rounded, for the last bits of a QR depend on the CPU."""
    q, r = np.linalg.qr(rng.standard_normal((columns, rows)))
    return np.round((q * np.sign(np.diag(r))).T, 6).astype(np.float32)
