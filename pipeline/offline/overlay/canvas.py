"""Draws anti-aliased lines, boxes and text on a picture.

Text is rendered by Pillow. libav's `drawtext` is missing from the wheels of av, and needs a font
file. Pillow contains a font for ASCII; other characters need a font of the machine, if it has one.
Lines and boxes are drawn here: Pillow draws them without anti-aliasing, unless they are drawn four
times larger and then reduced.
"""

import io
from contextlib import suppress
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.text.printable import printable

Colour = tuple[int, int, int]
Point = tuple[float, float]  # x, y in pixels from the top left corner
Cover = NDArray[np.floating]  # (h, w), the fraction of each pixel that a shape covers, 0-1


class Canvas:
    """Draws on pixels (H, W, 3), in place. Shapes are clipped at the edges."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.height, self.width, _ = pixels.shape

    def line(self, one: Point, other: Point, *, width: float, colour: Colour) -> None:
        """Draw a line with round ends."""
        reach = width / 2 + 1
        (x1, y1), (x2, y2) = one, other
        left, right = min(x1, x2) - reach, max(x1, x2) + reach
        top, bottom = min(y1, y2) - reach, max(y1, y2) + reach
        area, x, y = self._area(left, top, right, bottom)
        length = max((x2 - x1) ** 2 + (y2 - y1) ** 2, 1e-9)  # squared
        along = (((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length).clip(0, 1)
        distance = np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1))
        _blend(area, (width / 2 + 0.5 - distance).clip(0, 1), colour)

    def box(
        self, one: Point, other: Point, *, radius: float, colour: Colour, opacity: float = 1
    ) -> None:
        """Fill a box with rounded corners, from its top left (`one`) to its bottom right corner."""
        (left, top), (right, bottom) = one, other
        if right <= left or bottom <= top:
            return
        radius = min(radius, (right - left) / 2, (bottom - top) / 2)
        area, x, y = self._area(left - 1, top - 1, right + 1, bottom + 1)
        across = abs(x - (left + right) / 2) - (right - left) / 2 + radius
        down = abs(y - (top + bottom) / 2) - (bottom - top) / 2 + radius
        outside = np.hypot(across.clip(0), down.clip(0)) + np.maximum(across, down).clip(None, 0)
        _blend(area, (radius + 0.5 - outside).clip(0, 1) * opacity, colour)

    def text(self, place: Point, words: str, *, size: int, colour: Colour) -> None:
        """Draw text that starts at x and has its baseline at y; `place` is (x, y)."""
        letters, above = _letters(words, size)
        left, top = round(place[0]), round(place[1]) - above
        bottom, right = top + letters.shape[0], left + letters.shape[1]
        area, x, y = self._area(left, top, right, bottom)
        if area.size:
            rows, columns = y[:, 0].astype(int) - top, x[0].astype(int) - left
            _blend(area, letters[np.ix_(rows, columns)], colour)

    def png(self) -> bytes:
        """Return the picture as PNG."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "PNG")
        return file.getvalue()

    def _area(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[NDArray[np.uint8], Cover, Cover]:
        """Return the pixels in a box, and x (1, w) and y (h, 1) of their centres."""
        x = np.arange(*(int(np.clip(edge, 0, self.width)) for edge in (left, right + 0.999)))
        y = np.arange(*(int(np.clip(edge, 0, self.height)) for edge in (top, bottom + 0.999)))
        area = self.pixels[y[0] : y[-1] + 1, x[0] : x[-1] + 1] if len(x) and len(y) else _NOTHING
        return area, x[None, :] + 0.5, y[:, None] + 0.5


WIDE_FONTS = ("DejaVuSans.ttf", "Arial Unicode.ttf")  # on most Linux machines; on macOS

MOST_LETTERS = 200

_NOTHING = np.zeros((0, 0, 3), np.uint8)


def text_width(words: str, size: int) -> int:
    """Return the width of a text in pixels."""
    letters, _ = _letters(words, size)
    return len(letters[0])


def shortened(words: str, size: int, width: float) -> str:
    """Cut a text to a width in pixels; a text that was cut ends with an ellipsis."""
    if text_width(words, size) <= width:
        return words
    words = words[:MOST_LETTERS]
    while words and text_width(words + "...", size) > width:
        words = words[:-1]
    return words + "..."


def _blend(area: NDArray[np.uint8], cover: Cover, colour: Colour) -> None:
    if area.size:
        mixed = area + (np.array(colour) - area) * cover[..., None]
        area[...] = np.rint(mixed).astype(np.uint8)


@lru_cache(1024)  # numbers change from frame to frame, but there are few different ones
def _letters(words: str, size: int) -> tuple[Cover, int]:
    """Render a text (h, w); returns it with the number of rows above the baseline.

    It is `printable`, on one line, and cut after `MOST_LETTERS`.
    """
    words = printable(words)[:MOST_LETTERS]
    font = _font(size) if words.isascii() else _wide_font(size)
    above, below = font.getmetrics()
    image = Image.new("L", (max(1, round(font.getlength(words)) + 1), above + below))
    ImageDraw.Draw(image).text((0, above), words, fill=255, font=font, anchor="ls")
    return np.asarray(image) / 255, above


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise AssertionError("Pillow was built without FreeType, its wheels are not")
    return font


@lru_cache
def _wide_font(size: int) -> ImageFont.FreeTypeFont:
    for name in WIDE_FONTS:
        with suppress(OSError):  # the machine has no such font
            return ImageFont.truetype(name, size)
    return _font(size)
