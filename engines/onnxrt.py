"""ONNX Runtime on the CPU: the engine that is used unless another is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engines.base import EngineName, Features, Logits, Pixels, Rows, Tensors
from engines.errors import DeviceError
from engines.model.bundle import Bundle
from engines.table import HostFeatures, StateTable, check_pixels, finite_lines, pick_lines


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


ORT_ERRORS = (  # they share no base class below Exception
    *(kind for kind in vars(ort_errors).values() if _is_error(kind)),
    RuntimeError,
    MemoryError,
)


class OnnxRuntimeEngine:
    """Runs a bundle on `threads` threads, all of them asleep between calls.

    Each row's bits are the same in every batch: for convolutions, matrix products and the usual
    activations this was seen for batches of 1 to 64 on 1 and 2 threads; ops that break it are
    refused in bundles or found by `engines.checks.verify`.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        self._bundle = bundle
        self._table = StateTable(bundle.state)
        self._encoder = _session(bundle.encoder, threads)
        self._head = _session(bundle.head, threads)
        self._head_outputs = ["logits", *(spec.output for spec in bundle.state)]

    @property
    def name(self) -> EngineName:
        """See `Engine`."""
        return "onnxruntime"

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
        """Encode all frames in one run."""
        check_pixels(self._bundle, pixels)
        (features,) = _run(self._encoder, ["features"], {"frames": np.ascontiguousarray(pixels)})
        return HostFeatures(features.copy())  # (N, F); the runtime's arrays may share its memory

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance all rows in one run."""
        index = self._table.index(rows)
        lines = pick_lines(features, picks, len(index))
        before = self._table.gather(index)
        feeds = {spec.input: before[spec.name] for spec in self._bundle.state}
        logits, *after = _run(self._head, self._head_outputs, {"features": lines, **feeds})
        state = {spec.name: after[i] for i, spec in enumerate(self._bundle.state)}
        self._table.scatter(index, state)
        return logits.copy(), finite_lines(logits, state)

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
        """Let go of the sessions, and with them their threads and memory."""
        del self._encoder, self._head


def _session(graph: bytes, threads: int) -> "onnxruntime.InferenceSession":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors; they come as exceptions too
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
