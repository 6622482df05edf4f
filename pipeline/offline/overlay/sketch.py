"""Draws on a picture which parts of it are the views of a camera."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.offline.overlay.canvas import Canvas, Colour, shortened

COLOURS: tuple[Colour, ...] = (
    (255, 200, 40),
    (60, 200, 255),
    (255, 110, 170),
    (120, 230, 110),
    (200, 150, 255),
    (255, 140, 60),
)
TEXT_SHARE = 30  # of the picture's height is a line of text
BLACK: Colour = (0, 0, 0)

Corners = tuple[int, int, int, int]  # left, top, right, bottom


def draw_views(pixels: NDArray[np.uint8], views: Mapping[str, Corners]) -> Canvas:
    """Draw the outline and the name of each view on pixels (H, W, 3), in place."""
    canvas = Canvas(pixels)
    size = max(10, canvas.height // TEXT_SHARE)
    width = max(2, size // 8)
    for number, (name, (left, top, right, bottom)) in enumerate(views.items()):
        colour = COLOURS[number % len(COLOURS)]
        _outline(canvas, (left, top, right, bottom), width=width, colour=colour)
        words = shortened(name, size, right - left - 4 * width)
        place = left + 2 * width, top + width + size
        canvas.text((place[0] + 1, place[1] + 1), words, size=size, colour=BLACK)
        canvas.text(place, words, size=size, colour=colour)
    return canvas


def _outline(canvas: Canvas, corners: Corners, *, width: int, colour: Colour) -> None:
    left, top, right, bottom = corners
    inner = width / 2
    one, other = (left + inner, top + inner), (right - inner, bottom - inner)
    across, down = (other[0], one[1]), (one[0], other[1])
    for begin, end in ((one, across), (across, other), (other, down), (down, one)):
        canvas.line(begin, end, width=width, colour=colour)
