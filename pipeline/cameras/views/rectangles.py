"""Rectangles of a picture: how they are written, and which pixels they cover."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from pipeline.errors import LongtakeError

_FOUR = re.compile(r"\s*,\s*".join([r"(\d{1,6}(?:\.\d{1,9})?)"] * 4), re.ASCII)
WANTED = (
    "wanted 'x,y,width,height' from the top left corner: whole pixels, such as '640,0,640,720', or"
    " fractions of the picture, such as '0.5,0,0.5,1'"
)


class UnfitViewError(LongtakeError):
    """A rectangle does not fit a picture. Fate: the picture is not published in this view."""


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A part of a picture in pixels, with `right` and `bottom` outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A part of a picture, `of_pixels` or in fractions of its width and height.

    It is in fractions if none of its numbers is above 1. `text` is as it was written.
    """

    text: str
    left: Fraction
    top: Fraction
    width: Fraction
    height: Fraction

    @classmethod
    def of(cls, text: object) -> "Rectangle":
        """Parse a text. Raises `ValueError` for anything else."""
        found = _FOUR.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise ValueError(WANTED)
        read = cls(found[0], *(Fraction(number) for number in found.groups()))
        if not read.width or not read.height:
            raise ValueError(f"a rectangle without pixels; {WANTED}")
        if read.of_pixels and any(one.denominator != 1 for one in read._numbers):
            raise ValueError(f"neither whole pixels nor fractions up to 1; {WANTED}")
        if not read.of_pixels and (read.left + read.width > 1 or read.top + read.height > 1):
            raise ValueError(
                "reaches beyond the picture: x + width and y + height are at most 1 in fractions"
            )
        return read

    @property
    def of_pixels(self) -> bool:
        """Whether its numbers are pixels."""
        return any(one > 1 for one in self._numbers)

    def within(self, width: int, height: int) -> PixelBox:
        """Return all pixels that it touches, even in part, of a picture of this size.

        Raises `UnfitViewError` if it reaches beyond the picture.
        """
        across, down = (1, 1) if self.of_pixels else (width, height)
        box = PixelBox(
            floor(self.left * across),
            floor(self.top * down),
            ceil((self.left + self.width) * across),
            ceil((self.top + self.height) * down),
        )
        if box.right > width or box.bottom > height:
            raise UnfitViewError(
                f"{self.text} reaches beyond the picture, which is {width} x {height}"
            )
        return box

    @property
    def _numbers(self) -> tuple[Fraction, ...]:
        return self.left, self.top, self.width, self.height
