"""The oracle: a bundle run by numpy, one row at a time. Slow, plain, and right by construction."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_max_pool import MaxPool as SlowMaxPool

from engines.base import EngineName, Features, Logits, Pixels, Rows, Tensors
from engines.errors import DeviceError
from engines.model.bundle import Bundle
from engines.model.graph import nodes, tensors
from engines.table import HostFeatures, StateTable, check_pixels, finite_lines, pick_lines

Array = NDArray[Any]


class ReferenceEngine:
    """What other engines are compared with. Each row is run on its own, as if alone."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._table = StateTable(bundle.state)
        self._encoder = _evaluator(_widened(onnx.load_from_string(bundle.encoder)))
        self._head = _evaluator(onnx.load_from_string(bundle.head))
        self._head_outputs = ["logits", *(spec.output for spec in bundle.state)]

    @property
    def name(self) -> EngineName:
        """See `Engine`."""
        return "reference"

    @property
    def facts(self) -> None:
        """There is no device."""

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return self._table.rows

    def reserve(self, rows: int) -> None:
        """Grow the table."""
        self._table.reserve(rows)

    def encode(self, pixels: Pixels) -> HostFeatures:
        """Encode frames one by one."""
        check_pixels(self._bundle, pixels)
        lines = [
            _run(self._encoder, ["features"], {"frames": pixels[i : i + 1]})[0]
            for i in range(len(pixels))
        ]
        return HostFeatures(np.concatenate(lines))  # (N, F)

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance rows one by one."""
        index = self._table.index(rows)
        lines = pick_lines(features, picks, len(index))  # (M, F)
        logits = np.empty((len(index), len(self._bundle.labels)), np.float32)
        finite = np.empty(len(index), np.bool_)
        for m in range(len(index)):
            logits[m], finite[m] = self._step_alone(lines[m : m + 1], index[m : m + 1])
        return logits, finite

    def _step_alone(self, line: NDArray[np.float32], row: NDArray[np.intp]) -> tuple[Logits, bool]:
        before = self._table.gather(row)
        feeds = {spec.input: before[spec.name] for spec in self._bundle.state}
        logits, *after = _run(self._head, self._head_outputs, {"features": line, **feeds})
        state = {spec.name: after[i] for i, spec in enumerate(self._bundle.state)}
        self._table.scatter(row, state)
        return logits[0], bool(finite_lines(logits, state)[0])

    def read(self, rows: Rows) -> Tensors:
        """Copy rows out."""
        return self._table.gather(self._table.index(rows))

    def write(self, rows: Rows, tensors: Tensors) -> None:
        """Copy rows in."""
        self._table.write(rows, tensors)

    def zero(self, rows: Rows) -> None:
        """Set rows to zeros."""
        self._table.zero(rows)

    def close(self) -> None:
        """There is nothing to give back."""


class MaxPool(SlowMaxPool):
    """Pooling as one numpy expression: the library's own loops take 1.5 s a frame of 224 x 224."""

    def _run(  # type: ignore[override]  # all attributes come by name
        self, x: Array, **attributes: Any
    ) -> tuple[Array, ...]:
        strides, pads = attributes["strides"], attributes["pads"] or (0, 0, 0, 0)
        exotic = (
            len(self.onnx_node.output) > 1
            or attributes["ceil_mode"]
            or set(attributes["dilations"] or (1,)) != {1}
            or attributes["auto_pad"] not in (None, "NOTSET")
        )
        if exotic or strides is None or x.ndim != 4 or x.dtype.kind != "f":
            return tuple(super()._run(x, **attributes))  # type: ignore[no-untyped-call]
        top, left, bottom, right = pads
        border = ((0, 0), (0, 0), (top, bottom), (left, right))
        padded = np.pad(x, border, constant_values=-np.inf)
        windows = sliding_window_view(padded, attributes["kernel_shape"], axis=(2, 3))
        return (windows[:, :, :: strides[0], :: strides[1]].max(axis=(4, 5)),)


def _evaluator(model: onnx.ModelProto) -> ReferenceEvaluator:
    return ReferenceEvaluator(model, new_ops=[MaxPool])


def _widened(encoder: onnx.ModelProto) -> onnx.ModelProto:
    """Turn float16 into float32: numpy adds float16 up in float16, which is slow and not right."""
    for tensor in tensors(encoder.graph):
        if tensor.data_type == TensorProto.FLOAT16:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for node in nodes(encoder.graph):
        for attribute in node.attribute:
            if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", TensorProto.FLOAT16):
                attribute.i = TensorProto.FLOAT
    encoder.graph.ClearField("value_info")  # it would still say float16
    return encoder


def _run(graph: ReferenceEvaluator, outputs: list[str], feeds: Mapping[str, Array]) -> list[Array]:
    try:
        with np.errstate(all="ignore"):  # infinities are reported by `finite`, not by a warning
            return list(graph.run(outputs, dict(feeds)))
    except (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError) as exc:
        raise DeviceError(f"the numpy oracle failed: {exc}") from exc
