"""The free rows of the engine's state table."""

from typing import Protocol


class GrowingTable(Protocol):
    """What a pool needs of an engine: the table's size, and a way to make it larger."""

    @property
    def rows(self) -> int:
        """See `Engine`."""

    def reserve(self, rows: int) -> None:
        """See `Engine`."""


class RowPool:
    """Hands out free rows of the engine's state table, which it doubles when none is free."""

    def __init__(self, engine: GrowingTable) -> None:
        self._engine = engine
        self._free = list(range(engine.rows - 1, -1, -1))

    def take(self) -> int:
        """Return a free row. It holds its last user's state: the caller must zero or write it."""
        if not self._free:
            before = self._engine.rows
            self._engine.reserve(max(16, 2 * before))
            self._free.extend(range(self._engine.rows - 1, before - 1, -1))
        return self._free.pop()

    def give(self, row: int) -> None:
        """Make a row free again."""
        self._free.append(row)
