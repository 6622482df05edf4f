"""The inputs and outputs of a graph, as TensorRT sees them: free dimensions are -1, with names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper
from tensorrt_bindings import DataType, Dims

Shape = tuple[int, ...]
TYPES: dict[int, DataType] = {
    TensorProto.FLOAT: DataType.FLOAT,
    TensorProto.FLOAT16: DataType.HALF,
    TensorProto.BFLOAT16: DataType.BF16,
    TensorProto.INT8: DataType.INT8,
    TensorProto.INT32: DataType.INT32,
    TensorProto.INT64: DataType.INT64,
    TensorProto.UINT8: DataType.UINT8,
    TensorProto.BOOL: DataType.BOOL,
}


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output; `symbols` names the free dimensions, "" elsewhere."""

    name: str
    type: int
    shape: Shape
    symbols: tuple[str, ...]

    @property
    def dtype(self) -> DataType:
        return TYPES[self.type]

    @property
    def numpy_dtype(self) -> "np.dtype[np.generic]":
        return np.dtype(helper.tensor_dtype_to_np_dtype(self.type))

    @property
    def dynamic(self) -> bool:
        return -1 in self.shape

    def admits(self, shape: Sequence[int]) -> bool:
        """Whether a shape has the rank and the fixed dimensions of this port."""
        return len(shape) == len(self.shape) and all(
            mine in (-1, size) for mine, size in zip(self.shape, shape, strict=True)
        )

    def follows(self, sizes: Mapping[str, int]) -> bool:
        """Whether the names of dimensions tell the shape."""
        dims = zip(self.shape, self.symbols, strict=True)
        return all(mine != -1 or symbol in sizes for mine, symbol in dims)

    def sized(self, sizes: Mapping[str, int]) -> Shape:
        """The shape that they tell."""
        dims = zip(self.shape, self.symbols, strict=True)
        return tuple(sizes[symbol] if mine == -1 else mine for mine, symbol in dims)

    def size(self, shape: Shape) -> int:
        """Count the bytes of a tensor of `shape`."""
        return int(np.prod(shape, dtype=np.int64)) * self.numpy_dtype.itemsize


def inputs(model: onnx.ModelProto) -> list[Port]:
    """List what has to be given: initialisers are inputs in old graphs too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return _ports(value for value in model.graph.input if value.name not in weights)


def outputs(model: onnx.ModelProto) -> list[Port]:
    """List what comes out."""
    return _ports(model.graph.output)


def _ports(values: Iterable[onnx.ValueInfoProto]) -> list[Port]:
    ports = []
    for value in values:
        dims = value.type.tensor_type.shape.dim
        sizes = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
        names = tuple(d.dim_param for d in dims)
        ports.append(Port(value.name, value.type.tensor_type.elem_type, sizes, names))
    return ports


def shape_of(shape: object) -> Shape:
    """Read what the bindings turn into Dims: a tuple, a list, or Dims."""
    if not isinstance(shape, tuple | list | Dims):
        raise TypeError(f"incompatible function arguments: {shape!r} is no shape")
    return tuple(int(size) for size in Dims(tuple(shape)))
