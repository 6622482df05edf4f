"""Whether a picture stands still: a camera whose sensor or encoder hangs goes on sending it."""

import numpy as np
from numpy.typing import NDArray

LEVELS = 2  # of 255: what coding the same picture again may change of a cell's mean
LOOK_US = 500_000  # how often a picture is looked at
WIDTH, HEIGHT = 64, 36

Cells = NDArray[np.uint8]  # (HEIGHT, WIDTH), the mean grey of each part of the picture


class Stillness:
    """Notices that no part of the picture has changed for `after_us`. Times are of capture.

    The picture is compared with the one at which it began to stand still, so that slow changes
    (dusk) are changes too. A cell's mean has hardly any noise, and compression moves it little; a
    clock written into the picture, or a person anywhere, moves it.
    """

    def __init__(self, after_us: int) -> None:
        self._after_us = after_us
        self._reference: Cells | None = None
        self._since_us = 0
        self._looked_us = 0

    def wants(self, at_us: int) -> bool:
        """Whether it is time to `look` again."""
        return self._reference is None or not 0 <= at_us - self._looked_us < LOOK_US

    def look(self, cells: Cells, at_us: int) -> None:
        """Take a picture into account."""
        self._looked_us = at_us
        if self._reference is None or _differ(self._reference, cells) or at_us < self._since_us:
            self._reference, self._since_us = cells, at_us

    @property
    def still(self) -> bool:
        """Whether it has stood still for long enough, as far as was looked."""
        return self._reference is not None and self._looked_us - self._since_us >= self._after_us


def _differ(one: Cells, other: Cells) -> bool:
    return bool(np.abs(one.astype(np.int16) - other).max() > LEVELS)
