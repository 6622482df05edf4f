"""Limits how many chains of units have an open decoder at the same time."""

import threading
from typing import Protocol


class Closable(Protocol):
    """A chain that can go on without its open decoder, by decoding its units again."""

    @property
    def kept_bytes(self) -> int:
        """The size of the units that it would have to decode again."""

    def park(self) -> bool:
        """Close the decoder for now. Returns False if it is in use. Never waits."""


class DecoderLimit:
    """Counts the chains with an open decoder. Safe from any thread.

    A decoder has 5 MB at 360p and 36 MB at 1080p. Above the limit, another chain is parked: that
    with the fewest bytes since its keyframe, which cost least to decode again. So results do not
    depend on the limit; only the time does that decoding takes. Chains in use cannot be parked, so
    there may be as many decoders as there are threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: dict[Closable, None] = {}
        self.parked = 0  # how often a chain was parked

    @property
    def open(self) -> int:
        """How many chains have an open decoder."""
        return len(self._open)

    def enter(self, chain: Closable) -> None:
        """Count a chain that has opened its decoder, and park others above the limit."""
        with self._lock:
            self._open[chain] = None
            if len(self._open) <= self._most:
                return
            others = [one for one in self._open if one is not chain]
            for other in sorted(others, key=lambda one: one.kept_bytes):
                if len(self._open) <= self._most:
                    return
                if other.park():
                    del self._open[other]
                    self.parked += 1

    def leave(self, chain: Closable) -> None:
        """Count no longer a chain whose decoder is closed."""
        with self._lock:
            self._open.pop(chain, None)
