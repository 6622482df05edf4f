"""Which rows of the engine's table are free."""

from typing import Protocol


class GrowingTable(Protocol):
    """What a pool needs of an engine: the table's size, and a way to make it larger."""

    @property
    def rows(self) -> int:
        """See `Engine`."""

    def reserve(self, rows: int) -> None:
        """See `Engine`."""


class RowPool:
    """Which rows of the engine's table are free; the table grows by doubling."""

    def __init__(self, engine: GrowingTable) -> None:
        self._engine = engine
        self._free = list(range(engine.rows - 1, -1, -1))

    def take(self) -> int:
        """Hand out a row. Its contents are whatever its last user left: zero or write it."""
        if not self._free:
            before = self._engine.rows
            self._engine.reserve(max(16, 2 * before))
            self._free.extend(range(self._engine.rows - 1, before - 1, -1))
        return self._free.pop()

    def give(self, row: int) -> None:
        """Take a row back."""
        self._free.append(row)
