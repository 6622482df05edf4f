"""The contract every engine obeys: one bundle on one device, with a table of state rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

InputArray = NDArray[np.generic]  # one input (*shape) or N of them (N, *shape): `Bundle.input`
Logits = NDArray[np.float32]  # (M, K)
Tensors = Mapping[str, NDArray[np.generic]]  # state name -> (M, *shape)
Rows = Sequence[int] | NDArray[np.intp]

EngineName = Literal["auto", "onnxruntime", "tensorrt", "reference"]
GpuPrecision = Literal["float16", "float32"]  # of the encoder; the head is in float32 always
PlanFound = Literal["hit", "miss", "reject"]  # cached plan loaded; none; did not load, rebuilt
BuildProgress = Callable[[str, int, int], None]  # called with (phase, steps done, steps in all)


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Work of an engine and its device since it was opened, for metrics."""

    plans: Mapping[str, PlanFound]  # of each graph
    build_s: float
    enqueue_s: float  # the processor queueing work
    wait_s: float  # the processor waiting for it
    items: int  # inputs that were encoded, and rows that were stepped
    slots: int  # places in the batches they were in, padding included
    captured: int  # batch sizes that are replayed as CUDA graphs
    not_captured: str  # why there are none; empty if there are
    memory_bytes: int


class Features(Protocol):
    """Features of encoded inputs, (N, F) on the engine's device; valid until its next `encode`."""

    def __len__(self) -> int:
        """Return N, the number of inputs."""

    def vector(self, pick: int) -> NDArray[np.float32]:
        """Copy the features (F,) of one input to the host. May raise `DeviceError`."""


class Engine(Protocol):
    """One bundle on one device, with a table of state rows; knows tensors, never streams.

    Owned by one thread. Entry i of a result depends on entry i of the arguments alone, whatever
    else is in the batch: bit for bit on `onnxruntime`. Every method may raise `DeviceError`, after
    which no row can be trusted. It never half-advances silently. A wrong argument (shape, dtype, a
    row that does not exist or comes twice, a missing tensor) raises `ValueError`, and nothing has
    changed.
    """

    @property
    def name(self) -> EngineName:
        """The engine's name, as in the settings."""

    @property
    def facts(self) -> DeviceFacts | None:
        """Work of its device; None on a processor."""

    @property
    def rows(self) -> int:
        """Number of rows in the table."""

    def reserve(self, rows: int) -> None:
        """Grow the table to at least `rows` rows. Contents are kept, new rows are zero."""

    def encode(self, inputs: InputArray) -> Features:
        """Encode inputs (N, *shape), N >= 1, into features (N, F).

        Shape and dtype are those of `bundle.input.array`: of pictures (N, H, W, 3) uint8.
        """

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance each of `rows` (M,), M >= 1, all distinct, by the input `features[picks]` (M,).

        Returns logits (M, K) float32 and finite (M,) bool: whether a row's logits and its new state
        hold only finite numbers. A row that is not finite has advanced all the same: it stays
        broken until it is zeroed or written.
        """

    def read(self, rows: Rows) -> Tensors:
        """Copy rows (M,), all distinct, to the host: every state tensor, (M, *shape)."""

    def write(self, rows: Rows, tensors: Tensors) -> None:
        """Overwrite rows (M,), all distinct, with every state tensor of the bundle, by name."""

    def zero(self, rows: Rows) -> None:
        """Set rows (M,) to the initial state: zeros."""

    def close(self) -> None:
        """Free the device's memory. The engine is unusable afterwards."""
