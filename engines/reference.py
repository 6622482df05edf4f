"""The oracle: numpy runs a bundle, one row at a time. Slow, and too simple to be wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_max_pool import MaxPool as SlowMaxPool

from engines.base import EngineName, InputArray, Logits
from engines.errors import DeviceError
from engines.host import Arrays, HostEngine
from engines.model.bundle import Bundle
from engines.model.graph import nodes, tensors

Array = NDArray[Any]


def reference_engine(bundle: Bundle) -> HostEngine:
    """Make the engine that others are compared with."""
    return HostEngine(bundle, ReferenceGraphs(bundle))


class ReferenceGraphs:
    """See `HostGraphs`. Each input and each row is run on its own, as if alone."""

    def __init__(self, bundle: Bundle) -> None:
        self._port = bundle.input.array.name
        self._specs = bundle.state
        self._encoder = _evaluator(_widened(onnx.load_from_string(bundle.encoder)))
        self._head = _evaluator(onnx.load_from_string(bundle.head))
        self._head_outputs = ["logits", *(spec.output for spec in bundle.state)]

    @property
    def name(self) -> EngineName:
        """The name of the engine."""
        return "reference"

    def encode(self, inputs: InputArray) -> NDArray[np.float32]:
        """Run the encoder for each input."""
        encoded = [
            _run(self._encoder, ["features"], {self._port: inputs[i : i + 1]})[0]
            for i in range(len(inputs))
        ]
        return np.concatenate(encoded)  # (N, F)

    def step(self, features: NDArray[np.float32], state: Arrays) -> tuple[Logits, Arrays]:
        """Run the head for each row."""
        answers = [self._step_alone(features, state, slice(m, m + 1)) for m in range(len(features))]
        logits, *after = (np.concatenate(arrays) for arrays in zip(*answers, strict=True))
        return logits, {spec.name: after[i] for i, spec in enumerate(self._specs)}

    def _step_alone(
        self, features: NDArray[np.float32], state: Arrays, row: slice
    ) -> Sequence[Array]:
        feeds = {spec.input: state[spec.name][row] for spec in self._specs}
        return _run(self._head, self._head_outputs, {"features": features[row], **feeds})

    def close(self) -> None:
        """Nothing is held."""


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
    """Turn float16 into float32: numpy sums float16 in float16, which is slow and inexact."""
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
