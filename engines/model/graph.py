"""What a graph must be to go into a bundle: its ports, its opset, and the ops it may not use."""

from collections.abc import Iterator, Sequence

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, checker, helper, shape_inference

from engines.errors import BundleError
from engines.model.ports import Port

MIN_OPSET, MAX_OPSET = 13, 23  # what ONNX Runtime >= 1.22 and TensorRT >= 10.16 both read

_QUANTISED = "it picks its scale from the whole batch; export static quantisation or float32"
_HIDDEN_LOOP = "a step is one explicit cell; export it as MatMul, Sigmoid, Tanh, Mul and Add"
_RANDOM = "a replay would give other numbers; export the model in evaluation mode"
_UNEVEN = (  # found by running every batch size: Eigen's vector and scalar code round differently,
    # and which elements fall to the scalar one depends on where a row lies in the batch
    "ONNX Runtime rounds it by where in the batch a row lies; {instead}"
)
_EXP = _UNEVEN.format(instead="write it with Exp, Where, Mul and Add")
_NONE = _UNEVEN.format(instead="use Relu, Sigmoid, Tanh, Gelu or Erf")

REFUSED = {
    **dict.fromkeys(
        ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "ConvInteger"),
        _QUANTISED,
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Loop", "Scan", "If", "SequenceMap"), _HIDDEN_LOOP),
    **dict.fromkeys(
        (
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
        ),
        _RANDOM,
    ),
    **dict.fromkeys(("Elu", "Selu", "Celu"), _EXP),
    **dict.fromkeys(("Softplus", "Mish", "Log", "Sin", "Cos", "Asin", "Acos", "Atan"), _NONE),
}


def check_graph(
    content: bytes, where: str, inputs: Sequence[Port], outputs: Sequence[Port]
) -> None:
    """Raise `BundleError`, starting with `where`, unless the graph is fit for every engine."""
    try:
        model = onnx.load_from_string(content)
    except DecodeError as exc:
        raise BundleError(f"{where} is not an ONNX model: {exc}") from exc
    _check_self_contained(model, where)  # before the checker, which would look for files
    _check_ops(model, where)
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as exc:
        raise BundleError(f"{where} is not a valid ONNX model: {exc}") from exc
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in weights]
    _check_ports(given, inputs, f"{where}: input")
    _check_ports(model.graph.output, outputs, f"{where}: output")


def holds_float16(content: bytes) -> bool:
    """Return whether a graph has weights or constants in float16."""
    model = onnx.load_from_string(content)
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in tensors(model.graph))


def _check_self_contained(model: onnx.ModelProto, where: str) -> None:
    for tensor in tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise BundleError(
                f"{where}: weight {tensor.name!r} is in another file; "
                "save the model with save_as_external_data=False"
            )


def _check_ops(model: onnx.ModelProto, where: str) -> None:
    if model.functions:
        raise BundleError(f"{where}: has local functions; inline them (onnx.inliner)")
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not MIN_OPSET <= opset.version <= MAX_OPSET:
            raise BundleError(
                f"{where}: opset {opset.version}, wanted is {MIN_OPSET} to {MAX_OPSET}; "
                f"export again with opset_version={MIN_OPSET} or above"
            )
    for node in nodes(model.graph):
        if node.domain not in ("", "ai.onnx"):
            raise BundleError(
                f"{where}: node {node.name!r} is {node.domain}.{node.op_type}; "
                "only standard ONNX ops run on every engine"
            )
        if node.op_type in REFUSED:
            raise BundleError(
                f"{where}: node {node.name!r} is {node.op_type}, which is refused: "
                f"{REFUSED[node.op_type]}"
            )


def _check_ports(found: Sequence[onnx.ValueInfoProto], wanted: Sequence[Port], where: str) -> None:
    values = {value.name: value for value in found}
    if set(values) != {port.name for port in wanted}:
        names = ", ".join(sorted(port.name for port in wanted))
        raise BundleError(f"{where}s are {', '.join(sorted(values))}; wanted are {names}")
    for port in wanted:
        _check_port(values[port.name].type.tensor_type, port, f"{where} {port.name}")


def _check_port(found: onnx.TypeProto.Tensor, port: Port, where: str) -> None:
    if found.elem_type != helper.np_dtype_to_tensor_dtype(port.dtype):
        came = TensorProto.DataType.Name(found.elem_type).lower()
        raise BundleError(f"{where} is {came}, wanted is {port.dtype}")
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in found.shape.dim]
    if sizes != [None, *port.shape]:
        raise BundleError(f"{where} is {_shape(sizes)}, wanted is {_shape([None, *port.shape])}")


def _shape(sizes: Sequence[int | None]) -> str:
    return f"({', '.join('N' if size is None else str(size) for size in sizes)})"


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes, those of subgraphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield all weights and constants, those of subgraphs too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors(inner)
