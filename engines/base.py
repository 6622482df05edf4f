"""The contract every engine obeys: one bundle on one device, with a table of state rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (N, H, W, 3), RGB
Logits = NDArray[np.float32]  # (M, K)
Tensors = Mapping[str, NDArray[np.generic]]  # state name -> (M, *shape), one line per row asked for
Rows = Sequence[int] | NDArray[np.intp]

EngineName = Literal["auto", "onnxruntime", "tensorrt", "reference"]
GpuPrecision = Literal["float16", "float32"]  # of the encoder; the head is in float32 always
PlanFound = Literal["hit", "miss", "reject"]  # it was there, was not, or was and is of no use
Told = Callable[[str, int, int], None]  # hears of a build: the phase, its steps done, in all


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What an engine and its device have done since it was opened, for metrics."""

    plans: Mapping[str, PlanFound]  # of each graph
    build_s: float
    enqueue_s: float  # the processor asking for work
    wait_s: float  # the processor waiting for it
    lines: int  # frames and rows that went through a graph
    places: int  # and with what filled up their batches
    captured: int  # sizes of a batch that are replayed as CUDA graphs
    not_captured: str  # why there are none
    memory_bytes: int


class Features(Protocol):
    """Encoded frames, kept where the engine wants them; valid until its next `encode`."""

    def __len__(self) -> int:
        """Count the frames."""

    def line(self, pick: int) -> NDArray[np.float32]:
        """Copy the features (F,) of one frame to the host. May raise `DeviceError`."""


class Engine(Protocol):
    """One bundle on one device, with a table of state rows; knows tensors, never streams.

    Owned by one thread. Row i of any answer depends on row i of the question alone, whatever else
    is in the batch: bit for bit on `onnxruntime`. Every method may raise `DeviceError`, after which
    no row can be trusted. It never half-advances silently. A wrong argument (shape, dtype, a row
    that does not exist or comes twice, a missing tensor) is the caller's fault: `ValueError`, and
    nothing has changed.
    """

    @property
    def name(self) -> EngineName:
        """Which of the engines it is."""

    @property
    def facts(self) -> DeviceFacts | None:
        """What its device has done; None on a processor."""

    @property
    def rows(self) -> int:
        """How many rows the table has."""

    def reserve(self, rows: int) -> None:
        """Grow the table to at least `rows` rows. Contents are kept, new rows are zero."""

    def encode(self, pixels: Pixels) -> Features:
        """Encode frames (N, H, W, 3) uint8, N >= 1, into N lines of features."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance each of `rows` (M,), M >= 1, all distinct, by the frame `features[picks]` (M,).

        Returns logits (M, K) float32 and finite (M,): whether the line's logits and its new state
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
        """Give the device's memory back. The engine is unusable afterwards."""
