"""How long to wait before a camera is tried again."""

from random import Random

FIRST_S = 0.5
MOST_S = 30.0


class Backoff:
    """Doubles from half a second to half a minute, each time with up to half of it left to chance.

    Chance keeps two hundred cameras behind one switch from coming back all at once.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._next_s = FIRST_S

    def wait_s(self) -> float:
        """The next wait."""
        now_s, self._next_s = self._next_s, min(MOST_S, self._next_s * 2)
        return now_s * (0.5 + self._rng.random() / 2)

    def reset(self) -> None:
        """It is well again."""
        self._next_s = FIRST_S
