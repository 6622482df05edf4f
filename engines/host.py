"""The engine on a processor: a bundle's two graphs beside a table of state rows in host memory."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.base import EngineName, Features, InputArray, Logits, Rows, Tensors
from engines.model.bundle import Bundle
from engines.table import HostFeatures, StateTable, check_inputs, finite_rows, pick_features

Arrays = Mapping[str, NDArray[Any]]


class HostGraphs(Protocol):
    """Runs a bundle's encoder and head. Arguments are checked already, results are copies.

    Raises `DeviceError` where a graph cannot be run.
    """

    @property
    def name(self) -> EngineName:
        """The name of the engine."""

    def encode(self, inputs: InputArray) -> NDArray[np.float32]:
        """Run the encoder: inputs (N, *shape) -> features (N, F)."""

    def step(self, features: NDArray[np.float32], state: Arrays) -> tuple[Logits, Arrays]:
        """Run the head: features (M, F) and state, (M, *shape) each -> logits (M, K), new state.

        State goes by the bundle's names of the tensors.
        """

    def close(self) -> None:
        """Free what the graphs hold."""


class HostEngine:
    """See `Engine`. A step that fails changes no row."""

    def __init__(self, bundle: Bundle, graphs: HostGraphs) -> None:
        self._bundle = bundle
        self._graphs = graphs
        self._table = StateTable(bundle.state)

    @property
    def name(self) -> EngineName:
        """The name of the engine."""
        return self._graphs.name

    @property
    def facts(self) -> None:
        """None: there is no device."""

    @property
    def rows(self) -> int:
        """Number of rows in the table."""
        return self._table.rows

    def reserve(self, rows: int) -> None:
        """Grow the table."""
        self._table.reserve(rows)

    def encode(self, inputs: InputArray) -> HostFeatures:
        """Encode inputs (N, *shape)."""
        check_inputs(self._bundle, inputs)
        return HostFeatures(self._graphs.encode(inputs))

    def step(self, features: Features, picks: Rows, rows: Rows) -> tuple[Logits, NDArray[np.bool_]]:
        """Advance rows (M,)."""
        index = self._table.index(rows)
        picked = pick_features(features, picks, len(index))  # (M, F)
        logits, state = self._graphs.step(picked, self._table.gather(index))
        self._table.scatter(index, state)
        return logits, finite_rows(logits, state)

    def read(self, rows: Rows) -> Tensors:
        """Copy rows (M,) out."""
        return self._table.gather(self._table.index(rows))

    def write(self, rows: Rows, tensors: Tensors) -> None:
        """Copy rows (M,) in."""
        self._table.write(rows, tensors)

    def zero(self, rows: Rows) -> None:
        """Set rows (M,) to zeros."""
        self._table.zero(rows)

    def close(self) -> None:
        """Free what the graphs hold."""
        self._graphs.close()
