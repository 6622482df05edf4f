"""Bundles that a stranger could send: small files that ask for much, lie, or reach for others."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import AttributeProto, TensorProto, helper, numpy_helper

F32, U8 = TensorProto.FLOAT, TensorProto.UINT8
op = helper.make_node
Model = onnx.ModelProto
Weights = Mapping[str, ArrayLike]
State = Sequence[tuple[str, Sequence[int]]]
NO_WEIGHTS: Weights = {}


def value(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N", *shape])


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Weights = NO_WEIGHTS,
) -> Model:
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), tensors)
    made: Model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made


def encoder(height: int = 8, width: int = 8) -> Model:
    """The largest value of each colour: bit-stable in every batch."""
    nodes = [
        op("Cast", ["frames"], ["x"], to=F32),
        op("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2]),
        op("GlobalMaxPool", ["y"], ["z"]),
        op("Flatten", ["z"], ["features"], axis=1),
    ]
    return model(nodes, [value("frames", U8, height, width, 3)], [value("features", F32, 3)])


def head(
    *nodes: onnx.NodeProto,
    weights: Weights = NO_WEIGHTS,
    state: State = (),
    last: str = "features",
) -> Model:
    """Pass `last` on as logits; each state passes through."""
    passed = [op("Identity", [f"{name}_in"], [f"{name}_out"]) for name, _ in state]
    inputs = [value("features", F32, 3), *(value(f"{name}_in", F32, *s) for name, s in state)]
    outputs = [value("logits", F32, 3), *(value(f"{name}_out", F32, *s) for name, s in state)]
    return model([*nodes, op("Identity", [last], ["logits"]), *passed], inputs, outputs, weights)


def head_with(weight: TensorProto, *nodes: onnx.NodeProto) -> Model:
    """Add a weight `w` to the features."""
    made = head(*nodes, op("Add", ["features", "w"], ["l"]), last="l")
    if not nodes:
        made.graph.initializer.append(weight)
    return made


def largest_of(name: str) -> list[onnx.NodeProto]:
    """Add the largest value of a tensor to the features, as `l`."""
    largest = op("ReduceMax", [name], ["m"], keepdims=0)
    return [largest, op("Add", ["features", "m"], ["l"])]


def external(location: str) -> TensorProto:
    """Three floats in another file."""
    weight = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "12")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, text
    return weight


def sparse(values: TensorProto) -> onnx.NodeProto:
    """A constant `w` that is a sparse tensor."""
    tensor = onnx.SparseTensorProto(dims=[3], values=values)
    tensor.indices.CopyFrom(numpy_helper.from_array(np.arange(3), ""))
    node = op("Constant", [], ["w"])
    attribute = node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.CopyFrom(tensor)
    return node


def state(*shape: int, name: str = "s") -> dict[str, Any]:
    ports = {"input": f"{name}_in", "output": f"{name}_out"}
    return {"name": name, **ports, "shape": list(shape), "dtype": "float32"}


def card(encoder_bytes: bytes, head_bytes: bytes, **changes: Any) -> bytes:
    described = {
        "schema": 1,
        "name": "evil",
        "labels": ["a", "b", "c"],
        "activation": "softmax",
        "input": {
            "height": 8,
            "width": 8,
            "fit": "stretch",
            "colour": "rgb",
            "mean": [0, 0, 0],
            "std": [1, 1, 1],
            "rate_hz": None,
        },
        "features": 3,
        "state": [],
        "training": {},
        "files": {
            "encoder.onnx": hashlib.sha256(encoder_bytes).hexdigest(),
            "head.onnx": hashlib.sha256(head_bytes).hexdigest(),
        },
    }
    size = changes.pop("size", None)
    rate_hz = changes.pop("rate_hz", None)
    described["input"] |= {"rate_hz": rate_hz}  # type: ignore[operator]
    if size is not None:
        described["input"] |= {"height": size[0], "width": size[1]}  # type: ignore[operator]
    return json.dumps(described | changes).encode()


def raw(made: Model | bytes) -> bytes:
    return made if isinstance(made, bytes) else bytes(made.SerializeToString())


def folder(
    path: Path,
    *,
    encoder_model: Model | bytes | None = None,
    head_model: Model | bytes | None = None,
    described: Callable[[bytes], bytes] = lambda text: text,
    **changes: Any,
) -> Path:
    """Write a bundle; `described` changes the bytes of `model.json`, `changes` its fields."""
    encoder_bytes = raw(encoder() if encoder_model is None else encoder_model)
    head_bytes = raw(head() if head_model is None else head_model)
    path.mkdir()
    (path / "encoder.onnx").write_bytes(encoder_bytes)
    (path / "head.onnx").write_bytes(head_bytes)
    text = described(card(encoder_bytes, head_bytes, **changes))
    (path / "model.json").write_bytes(text)
    return path


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = 8) -> Path:
    """Write a .zip of a sound bundle; `members` come first."""
    encoder_bytes, head_bytes = raw(encoder()), raw(head())
    sound = {
        "model.json": card(encoder_bytes, head_bytes),
        "encoder.onnx": encoder_bytes,
        "head.onnx": head_bytes,
    }
    given = [getattr(name, "filename", name) for name, _ in members]
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
        for other, content in sound.items():
            if other not in given or given.count(other) > 1:
                file.writestr(other, content)
    return path


def nested(levels: int) -> bytes:
    """A graph in an attribute of a node in a graph, and so on, written without any library."""
    inner = b""
    for _ in range(levels):
        inner = _field(1, _field(4, b"Foo") + _field(5, _field(1, b"g") + _field(6, inner)))
    return raw(head()) + _field(7, inner)


def _field(number: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def fifo(path: Path) -> Path:
    """Put a FIFO that has no writer where a file was."""
    path.unlink()
    os.mkfifo(path)
    return path
