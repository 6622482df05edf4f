"""What TensorRT's parser does not take, as far as it can be told without a GPU."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto, numpy_helper, shape_inference
from tensorrt_bindings import ErrorCode

from doubles.tensorrt.ports import TYPES
from engines.model.lint import OPERATORS

SUPPORTED = frozenset(
    line for line in OPERATORS.read_text("utf-8").splitlines() if not line.startswith("#")
)
ALL = slice(None)
OF_ONE_TYPE = {  # op -> which of its inputs must agree: nothing is cast in a strongly typed network
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean"), ALL),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "PRelu"), ALL),
    **dict.fromkeys(("MatMul", "Gemm", "Conv", "ConvTranspose", "Concat", "Einsum"), ALL),
    **dict.fromkeys(("And", "Or", "Xor", "BatchNormalization", "LayerNormalization"), ALL),
    "Where": slice(1, 3),
    "ScatterElements": slice(0, None, 2),
}
FLOATS_OF_UINT8 = (TensorProto.FLOAT, TensorProto.FLOAT16)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a graph is not taken, and at which of its nodes; -1 for none."""

    code: ErrorCode
    text: str
    node: int = -1
    name: str = ""
    operator: str = ""


def refusals(model: onnx.ModelProto) -> Iterator[Refusal]:
    """Yield every reason; none if the graph is taken."""
    reasons = [*_unsorted(model.graph), *_refusals(model)]
    yield from reasons
    if not reasons:
        yield from _unfitting(model)


def _unsorted(graph: onnx.GraphProto) -> Iterator[Refusal]:
    """Find inputs that nothing gives, and nodes that wait for each other."""
    given = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    made = {name for node in graph.node for name in node.output}
    missing = {name for node in graph.node for name in node.input} - given - made
    for name in sorted(missing):
        yield Refusal(ErrorCode.INVALID_GRAPH, f"Node input was not registered: {name}")
    known, waiting = given | missing, list(graph.node)
    while ready := [node for node in waiting if known.issuperset(node.input)]:
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    if waiting:
        yield Refusal(ErrorCode.INVALID_GRAPH, "Failed to sort the model topologically.")


def _unfitting(model: onnx.ModelProto) -> Iterator[Refusal]:
    """Find shapes that do not fit; wrong types were found before."""
    try:
        shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as exc:
        if "[ShapeInferenceError]" in str(exc):
            yield Refusal(ErrorCode.INVALID_NODE, str(exc))


def _refusals(model: onnx.ModelProto) -> Iterator[Refusal]:
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except shape_inference.InferenceError as exc:
        yield Refusal(ErrorCode.INVALID_GRAPH, str(exc))
        return
    types = _types(inferred.graph)
    for name, kind in types.items():
        if kind not in TYPES:
            what = TensorProto.DataType.Name(kind)
            yield Refusal(ErrorCode.UNSUPPORTED_NODE_DATATYPE, f"{name} is {what}")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    outer = {value.name for value in (*model.graph.input, *model.graph.output)}
    for number, node in enumerate(model.graph.node):
        for code, text in (
            *_operators(node),
            *_mixed(node, types),
            *_uint8(node, types, outer),
            *_shifted(node, weights),
        ):
            yield Refusal(code, text, number, node.name, node.op_type)


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {name: kind for name, kind in types.items() if kind != TensorProto.UNDEFINED}


def _operators(node: onnx.NodeProto) -> Iterator[tuple[ErrorCode, str]]:
    if node.domain not in ("", "ai.onnx") or node.op_type not in SUPPORTED:
        yield ErrorCode.UNSUPPORTED_NODE, f"no importer registered for op: {node.op_type}"
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _operators(inner)


def _mixed(node: onnx.NodeProto, types: dict[str, int]) -> Iterator[tuple[ErrorCode, str]]:
    names = [n for n in node.input[OF_ONE_TYPE.get(node.op_type, slice(0))] if n in types]
    if len({types[name] for name in names}) > 1:
        told = ", ".join(f"{name} {TensorProto.DataType.Name(types[name])}" for name in names)
        yield ErrorCode.INVALID_NODE, f"{node.op_type} must have inputs of one type: {told}"


def _shifted(
    node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]
) -> Iterator[tuple[ErrorCode, str]]:
    """Find zero points of quantised tensors: TensorRT's int8 is symmetric."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
        zero = weights.get(node.input[2])
        if zero is not None and numpy_helper.to_array(zero).any():
            yield ErrorCode.UNSUPPORTED_NODE, f"{zero.name}: non-zero zero point is not supported"


def _uint8(
    node: onnx.NodeProto, types: dict[str, int], outer: set[str]
) -> Iterator[tuple[ErrorCode, str]]:
    refused = ErrorCode.UNSUPPORTED_NODE_DATATYPE
    to = next((a.i for a in node.attribute if a.name == "to"), None)
    for name in node.input:
        narrow = types.get(name) == TensorProto.UINT8
        if narrow and (node.op_type != "Cast" or to not in FLOATS_OF_UINT8):
            yield refused, f"{name} is UINT8, which can only be cast to float32 or float16"
    for name in node.output:
        if types.get(name) == TensorProto.UINT8 and (node.op_type != "Cast" or name not in outer):
            yield refused, f"{name} is UINT8, which only inputs and outputs of the network may be"
