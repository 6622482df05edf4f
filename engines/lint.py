"""Whether TensorRT will take a bundle's graphs, as far as that can be told without TensorRT."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, shape_inference

from engines.bundle import Bundle
from engines.graph import nodes

OPERATORS = Path(__file__).parent / "tensorrt" / "operators.txt"  # of its ONNX parser
KNOWN = frozenset(
    line for line in OPERATORS.read_text("utf-8").splitlines() if not line.startswith("#")
)
ONE_TYPE = frozenset(
    ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "MatMul", "Gemm", "Conv", "Concat")
)
SHAPED_BY_VALUES = frozenset(("NonZero", "Unique", "Compress"))
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def complaints(bundle: Bundle) -> list[str]:
    """Say what TensorRT would refuse, node by node, and what to do about it; empty if nothing."""
    graphs = {"encoder.onnx": bundle.encoder, "head.onnx": bundle.head}
    return [
        f"{name}: {complaint}"
        for name, content in graphs.items()
        for complaint in _complaints(onnx.load_from_string(content))
    ]


def _complaints(model: onnx.ModelProto) -> Iterator[str]:
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    types = _types(inferred.graph)
    for value in (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info):
        yield from _dimensions(value)
    for name, kind in types.items():
        if kind == TensorProto.DOUBLE:
            yield f"{name} is float64, which TensorRT does not have: export it as float32"
    for node in nodes(inferred.graph):
        yield from _operator(node)
        yield from _mixed(node, types)
        yield from _pixels(node, types)


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _dimensions(value: onnx.ValueInfoProto) -> Iterator[str]:
    sizes = value.type.tensor_type.shape.dim
    unknown = [place for place, size in enumerate(sizes) if not size.HasField("dim_value")]
    if len(unknown) > 1:
        yield f"{value.name} has unknown sizes in dimensions {unknown}: only the batch may be one"


def _operator(node: onnx.NodeProto) -> Iterator[str]:
    if node.op_type not in KNOWN:
        yield (
            f"node {node.name!r} is {node.op_type}, which TensorRT's parser did not know in 10.1:"
            " write it with other operators"
        )
    if node.op_type in SHAPED_BY_VALUES:
        yield (
            f"node {node.name!r} is {node.op_type}, whose size depends on values: only the batch"
            " may be dynamic; use Where or Mul with a mask"
        )


def _mixed(node: onnx.NodeProto, types: dict[str, int]) -> Iterator[str]:
    if node.op_type not in ONE_TYPE:
        return
    kinds = {name: types[name] for name in node.input if types.get(name)}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{n} {TensorProto.DataType.Name(k).lower()}" for n, k in kinds.items())
        yield f"node {node.name!r} ({node.op_type}) mixes types ({told}): cast them to one"


def _pixels(node: onnx.NodeProto, types: dict[str, int]) -> Iterator[str]:
    to = next((a.i for a in node.attribute if a.name == "to"), None)
    for name in node.input:
        if types.get(name) == TensorProto.UINT8 and (node.op_type != "Cast" or to not in FLOATS):
            yield (
                f"node {node.name!r} ({node.op_type}) takes {name} as uint8: cast it to float32 or"
                " float16 first, then permute and normalise"
            )
