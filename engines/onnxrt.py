"""ONNX Runtime on the CPU: the engine where there is no GPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engines.base import EngineName, InputArray, Logits
from engines.errors import DeviceError
from engines.host import Arrays, HostEngine
from engines.model.bundle import Bundle
from engines.planes import TO_PLANES, planar


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


ORT_ERRORS = (  # they share no base class below Exception
    *(kind for kind in vars(ort_errors).values() if _is_error(kind)),
    RuntimeError,
    MemoryError,
)


def onnxruntime_engine(bundle: Bundle, threads: int) -> HostEngine:
    """Make the engine on `threads` threads, all of them asleep between calls.

    Each row's bits are the same in every batch: for convolutions, matrix products and the usual
    activations this was seen for batches of 1 to 64 on 1 and 2 threads; ops that break it are
    refused in bundles or found by `engines.checks.verify`.
    """
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")
    return HostEngine(bundle, OnnxRuntimeGraphs(bundle, threads))


class OnnxRuntimeGraphs:
    """See `HostGraphs`. All inputs go through a graph in one run.

    An encoder that can be is rewritten to take planes, unless `rewrites` is False.
    """

    def __init__(self, bundle: Bundle, threads: int, *, rewrites: bool = True) -> None:
        self._port = bundle.input.array.name
        self._specs = bundle.state
        rewritten = planar(bundle.encoder, bundle.input.array) if rewrites else None
        self.rewritten = rewritten is not None
        self._encoder = _session(rewritten or bundle.encoder, threads)
        self._head = _session(bundle.head, threads)
        self._head_outputs = ["logits", *(spec.output for spec in bundle.state)]

    @property
    def name(self) -> EngineName:
        """The name of the engine."""
        return "onnxruntime"

    def encode(self, inputs: InputArray) -> NDArray[np.float32]:
        """Run the encoder once."""
        if self.rewritten:
            inputs = inputs.transpose(TO_PLANES)
        (features,) = _run(self._encoder, ["features"], {self._port: np.ascontiguousarray(inputs)})
        encoded: NDArray[np.float32] = features.copy()  # the runtime's arrays may share its memory
        return encoded

    def step(self, features: NDArray[np.float32], state: Arrays) -> tuple[Logits, Arrays]:
        """Run the head once."""
        feeds = {spec.input: state[spec.name] for spec in self._specs}
        logits, *after = _run(self._head, self._head_outputs, {"features": features, **feeds})
        return logits.copy(), {spec.name: after[i] for i, spec in enumerate(self._specs)}

    def close(self) -> None:
        """Drop the sessions, and with them their threads and memory."""
        del self._encoder, self._head


def _session(graph: bytes, threads: int) -> "onnxruntime.InferenceSession":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Errors come as exceptions. Its own log would write names of a foreign graph to the terminal.
    options.log_severity_level = 4
    for pool in ("intra_op", "inter_op"):  # idle threads would burn the cores that decoding needs
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as exc:
        raise DeviceError(f"ONNX Runtime cannot load the graph: {exc}") from exc


def _run(
    session: "onnxruntime.InferenceSession",
    outputs: Sequence[str],
    feeds: Mapping[str, NDArray[Any]],
) -> list[NDArray[Any]]:
    try:
        return list(session.run(outputs, feeds))
    except ORT_ERRORS as exc:
        raise DeviceError(f"ONNX Runtime failed: {exc}") from exc
