"""How long to wait before the next attempt to connect to a camera."""

from random import Random

FIRST_S = 0.5
MOST_S = 30.0


class Backoff:
    """Waits that double from 0.5 s to 30 s; up to half of each wait is random.

    The random part prevents two hundred cameras behind one switch from reconnecting all at once.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._next_s = FIRST_S

    def wait_s(self) -> float:
        """Return the next wait, and double the one after it."""
        now_s, self._next_s = self._next_s, min(MOST_S, self._next_s * 2)
        return now_s * (0.5 + self._rng.random() / 2)

    def reset(self) -> None:
        """Start again with the shortest wait: the connection was good."""
        self._next_s = FIRST_S
