"""The table of state rows in device memory. Rows are copied to the host only by `read`."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.base import Tensors
from engines.errors import DeviceError
from engines.model.description import StateSpec
from engines.tensorrt.driver.device import Device
from engines.tensorrt.graphs.orders import MOST_ROWS

RowIndex = NDArray[np.intp]
PAGE = 64  # rows that are read or written at a time


class DeviceRows:
    """Named tensors of shape (places, *shape) on the device. Owned by one engine.

    Place 0 holds zeros, row i lies at place i + 1. A row that starts afresh is not cleared: it is
    marked, and the next step gathers it from place 0. `row_bytes`: size of one row by tensor.
    """

    def __init__(self, device: Device, specs: Sequence[StateSpec]) -> None:
        self._device, self._specs = device, specs
        self._fresh = np.zeros(0, np.bool_)
        self.row_bytes = {s.name: s.numpy_dtype.itemsize * math.prod(s.shape) for s in specs}
        self._tables = {spec.name: self._allocate(spec.name, places=1) for spec in specs}
        self._pages = {
            spec.name: device.pinned((PAGE, *spec.shape), spec.numpy_dtype) for spec in specs
        }

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._fresh)

    @property
    def places(self) -> int:
        """Length of the tables: all rows and place 0."""
        return self.rows + 1

    @property
    def addresses(self) -> dict[str, int]:
        """Address of each tensor's table. Changes when the table grows."""
        return dict(self._tables)

    def reserve(self, rows: int) -> bool:
        """Grow to at least `rows` rows, contents kept; returns whether that moved the tables."""
        if rows <= self.rows:
            return False
        if rows > MOST_ROWS:
            raise DeviceError(
                f"{rows:,} streams are too many for one GPU's table, which has {MOST_ROWS:,} rows:"
                " run more workers"
            )
        old = self._tables
        self._tables = {name: self._allocate(name, places=rows + 1) for name in old}
        for name, table in old.items():
            self._device.copy(self._tables[name], table, self.places * self.row_bytes[name])
        self._device.wait()
        for table in old.values():
            self._device.free(table)
        self._fresh = np.append(self._fresh, np.ones(rows - self.rows, np.bool_))
        return True

    def sources(self, index: RowIndex) -> NDArray[np.int32]:
        """Return the places (M,) to gather rows from: 0 for those that start afresh."""
        return np.where(self._fresh[index], 0, index + 1).astype(np.int32)

    def keep(self, index: RowIndex, stepped: Mapping[str, int]) -> None:
        """Queue copies of new state (M, *shape) into rows (M,).

        `stepped` holds the address of each new state. Neighbours are copied as one.
        """
        for first, at, count in runs(index):
            for name, start in stepped.items():
                self._device.copy(
                    self._address(name, first),
                    start + at * self.row_bytes[name],
                    count * self.row_bytes[name],
                )
        self._fresh[index] = False

    def read(self, index: RowIndex) -> Tensors:
        """Copy rows (M,) to the host."""
        tensors = {s.name: np.empty((len(index), *s.shape), s.numpy_dtype) for s in self._specs}
        for start in range(0, len(index), PAGE):
            some = index[start : start + PAGE]
            for first, at, count in runs(some):
                for name, page in self._pages.items():
                    self._device.download(page[at : at + count], self._address(name, first))
            self._device.wait()
            for name, page in self._pages.items():
                tensors[name][start : start + len(some)] = page[: len(some)]
        for tensor in tensors.values():
            tensor[self._fresh[index]] = 0
        return tensors

    def write(self, index: RowIndex, tensors: Tensors) -> None:
        """Copy tensors (M, *shape) into rows (M,)."""
        for start in range(0, len(index), PAGE):
            some = index[start : start + PAGE]
            for name, page in self._pages.items():
                page[: len(some)] = tensors[name][start : start + len(some)]
            for first, at, count in runs(some):
                for name, page in self._pages.items():
                    self._device.upload(self._address(name, first), page[at : at + count])
            self._device.wait()  # before the page is filled again
        self._fresh[index] = False

    def zero(self, index: RowIndex) -> None:
        """Mark rows as starting afresh."""
        self._fresh[index] = True

    def _allocate(self, name: str, *, places: int) -> int:
        table = self._device.allocate(places * self.row_bytes[name])
        self._device.clear(table, self.row_bytes[name])  # place 0
        return table

    def _address(self, name: str, row: int) -> int:
        return self._tables[name] + (row + 1) * self.row_bytes[name]


def runs(index: RowIndex) -> Iterator[tuple[int, int, int]]:
    """Split rows (M,) into runs of neighbours: first row, its index in the wave, number of rows."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    starts = [0, *breaks.tolist()] if len(index) else []
    for start, end in zip(starts, [*starts[1:], len(index)], strict=True):
        yield int(index[start]), start, end - start
