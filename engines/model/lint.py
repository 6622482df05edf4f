"""Whether TensorRT will accept a bundle's graphs, as far as that can be found without TensorRT."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from engines.model.bundle import Bundle
from engines.model.graph import nodes

OPERATORS = Path(__file__).parents[1] / "tensorrt" / "operators.txt"  # of its ONNX parser
KNOWN = frozenset(
    line for line in OPERATORS.read_text("utf-8").splitlines() if not line.startswith("#")
)
ALL, CHOICES, SCATTERED = slice(None), slice(1, 3), slice(0, None, 2)
ONE_TYPE = {  # op -> the inputs that must have one type: TensorRT's networks are strongly typed
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean"), ALL),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), ALL),
    **dict.fromkeys(("MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose", "Concat"), ALL),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "PRelu"), ALL),
    "Where": CHOICES,
    "ScatterElements": SCATTERED,
}
SHAPED_BY_VALUES = frozenset(("NonZero", "Unique", "Compress"))
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
UNKNOWN_TYPES: Mapping[int, str] = {  # to TensorRT, and what to use instead
    TensorProto.DOUBLE: "float32",
    **dict.fromkeys((TensorProto.INT16, TensorProto.UINT16), "int32"),
    **dict.fromkeys((TensorProto.UINT32, TensorProto.UINT64), "int64"),
}


def complaints(bundle: Bundle) -> list[str]:
    """Return what TensorRT would refuse, node by node, and what to do instead; empty if nothing."""
    graphs = {"encoder.onnx": bundle.encoder, "head.onnx": bundle.head}
    return [
        f"{name}: {complaint}"
        for name, content in graphs.items()
        for complaint in _complaints(onnx.load_from_string(content))
    ]


def _complaints(model: onnx.ModelProto) -> Iterator[str]:
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    types = _types(inferred.graph)
    makers = {name: node for node in nodes(inferred.graph) for name in node.output}
    for value in (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info):
        yield from _dimensions(value, makers)
    for name, kind in types.items():
        if kind in UNKNOWN_TYPES:
            found = helper.tensor_dtype_to_np_dtype(kind)
            yield (
                f"{_made(name, makers)} is {found}, which TensorRT does not have: export it as"
                f" {UNKNOWN_TYPES[kind]}"
            )
    weights = {tensor.name: tensor for tensor in inferred.graph.initializer}
    for node in nodes(inferred.graph):
        yield from _operator(node)
        yield from _mixed(node, types)
        yield from _uint8(node, types)
        yield from _shifted(node, weights)


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _named(node: onnx.NodeProto) -> str:
    return f"node {node.name or ', '.join(node.output)!r} ({node.op_type})"


def _made(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    return f"{_named(makers[name])}: its output {name}" if name in makers else name


def _dimensions(value: onnx.ValueInfoProto, makers: Mapping[str, onnx.NodeProto]) -> Iterator[str]:
    sizes = value.type.tensor_type.shape.dim
    unknown = [place for place, size in enumerate(sizes) if not size.HasField("dim_value")]
    if len(unknown) > 1:
        yield (
            f"{_made(value.name, makers)} has unknown sizes in dimensions {unknown}: only the batch"
            " may be one; export with fixed sizes"
        )


def _operator(node: onnx.NodeProto) -> Iterator[str]:
    if node.op_type not in KNOWN:
        yield (
            f"{_named(node)} is an operator that TensorRT's parser did not know in 10.1: write it"
            " with others"
        )
    if node.op_type in SHAPED_BY_VALUES:
        yield (
            f"{_named(node)} has an output whose size depends on values: only the batch may be"
            " dynamic; use Where or Mul with a mask"
        )


def _mixed(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[str]:
    if node.op_type not in ONE_TYPE:
        return
    kinds = {name: types[name] for name in node.input[ONE_TYPE[node.op_type]] if types.get(name)}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{n} {TensorProto.DataType.Name(k).lower()}" for n, k in kinds.items())
        yield f"{_named(node)} mixes types ({found}): cast them to one"


def _uint8(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[str]:
    to = next((a.i for a in node.attribute if a.name == "to"), None)  # the type that a Cast gives
    if to == TensorProto.UINT8:
        yield f"{_named(node)} gives uint8, which TensorRT knows as input alone: cast to int32"
    for name in node.input:
        if types.get(name) == TensorProto.UINT8 and to not in FLOATS:
            yield (
                f"{_named(node)} takes {name} as uint8: cast it to float32 or float16 first, then"
                " permute and normalise"
            )


def _shifted(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> Iterator[str]:
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
        zero = weights.get(node.input[2])
        if zero is not None and numpy_helper.to_array(zero).any():
            yield (
                f"{_named(node)} has the zero point {zero.name}, which is not zero: quantise"
                " symmetrically, to int8"
            )
