"""What a graph must be to go into a bundle: a valid one, with the ports that are wanted."""

from collections.abc import Iterator, Mapping, Sequence, Set

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, checker, helper, shape_inference

from engines.errors import BundleError
from engines.model.graph_bytes import check_bytes
from engines.model.ports import Port

OF_SHAPES = ("Shape", "Size")  # their outputs do not depend on what a tensor holds
SIZED_BY: Mapping[str, Sequence[int]] = {  # op -> inputs whose values say how large its output is
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1,),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "ImageDecoder": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "STFT": (1, 3),
    "Tile": (1,),
}


def check_graph(
    content: bytes, where: str, inputs: Sequence[Port], outputs: Sequence[Port]
) -> None:
    """Raise `BundleError`, starting with `where`, unless the graph is fit for every engine."""
    check_bytes(content, where)  # before the checker, which would look for files
    try:
        model = onnx.load_from_string(content)
    except DecodeError as exc:
        raise BundleError(f"{where} is not an ONNX model: {exc}") from exc
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as exc:
        raise BundleError(f"{where} is not a valid ONNX model: {exc}") from exc
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in weights]
    _check_ports(given, inputs, f"{where}: input")
    _check_ports(model.graph.output, outputs, f"{where}: output")
    _check_sizes(model.graph, {value.name for value in given}, where)


def holds_float16(content: bytes) -> bool:
    """Return whether a graph has weights or constants in float16."""
    model = onnx.load_from_string(content)
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in tensors(model.graph))


def _check_sizes(graph: onnx.GraphProto, inputs: Set[str], where: str) -> None:
    """Refuse sizes that are computed from a picture: one white picture could ask for any memory.

    Sizes that are computed from the shapes of tensors are fine. Nodes are in the order of use.
    """
    read = set(inputs)  # values that depend on what the inputs hold
    for node in graph.node:
        sized_by = [node.input[at] for at in SIZED_BY.get(node.op_type, ()) if at < len(node.input)]
        if found := read.intersection(sized_by):
            raise BundleError(
                f"{where}: node {node.name!r} is {node.op_type} and takes its size from"
                f" {min(found)!r}, which depends on what is in a picture or in the memory; sizes"
                " must be constants or come from shapes"
            )
        if node.op_type not in OF_SHAPES and read.intersection(node.input):
            read.update(node.output)


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
    """Yield all weights and constants, those of subgraphs too. There are no sparse ones."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors(inner)
