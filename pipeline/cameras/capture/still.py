"""Detects a frozen picture: a camera whose sensor or encoder hangs sends the same one again."""

import numpy as np
from numpy.typing import NDArray

LEVELS = 2  # of 255: how much encoding the same picture again may change the mean of a cell
LOOK_US = 500_000  # the interval between two comparisons
WIDTH, HEIGHT = 64, 36

Cells = NDArray[np.uint8]  # (HEIGHT, WIDTH), the mean grey of each part of the picture


class Stillness:
    """Detects that no part of the picture has changed for `after_us`. Times are capture times.

    A picture is compared with the first picture of the still period, not with the one before, so
    that slow changes (dusk) count as changes too. The mean of a cell has hardly any noise, and
    compression changes it little; a clock drawn into the picture, or a person anywhere, changes it
    by more than `LEVELS`.
    """

    def __init__(self, after_us: int) -> None:
        self._after_us = after_us
        self._reference: Cells | None = None
        self._since_us = 0
        self._compared_us = 0

    def due(self, at_us: int) -> bool:
        """Whether it is time to `compare` again."""
        return self._reference is None or not 0 <= at_us - self._compared_us < LOOK_US

    def compare(self, cells: Cells, at_us: int) -> None:
        """Compare a picture with the reference; it becomes the reference if they differ."""
        self._compared_us = at_us
        if self._reference is None or _differ(self._reference, cells) or at_us < self._since_us:
            self._reference, self._since_us = cells, at_us

    @property
    def still(self) -> bool:
        """Whether the picture has not changed for `after_us`, as of the last comparison."""
        return self._reference is not None and self._compared_us - self._since_us >= self._after_us


def _differ(one: Cells, other: Cells) -> bool:
    return bool(np.abs(one.astype(np.int16) - other).max() > LEVELS)
