"""Which rows of the engine's table are free."""

from engines.base import Engine


class RowPool:
    """Which rows of the engine's table are free; the table grows by doubling."""

    def __init__(self, engine: Engine) -> None:
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
