"""Rectangles say exactly which pixels they cover, and nothing is guessed."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras.views.rectangles import PixelBox, Rectangle, UnfitViewError


@pytest.mark.parametrize(
    ("text", "size", "box"),
    [
        ("0,0,1,1", (641, 479), PixelBox(0, 0, 641, 479)),
        ("0.5,0,0.5,1", (641, 479), PixelBox(320, 0, 641, 479)),
        (" 0.1, 0.25 ,0.2,0.5", (10, 8), PixelBox(1, 2, 3, 6)),
        ("0.3,0.3,0.3,0.3", (10, 7), PixelBox(3, 2, 6, 5)),  # touched in part: included
        ("3,5,7,9", (10, 14), PixelBox(3, 5, 10, 14)),
        ("0,0,1,480", (640, 480), PixelBox(0, 0, 1, 480)),
    ],
)
def test_a_rectangle_covers_each_pixel_that_it_touches(
    text: str, size: tuple[int, int], box: PixelBox
) -> None:
    assert Rectangle.of(text).within(*size) == box


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "wanted 'x,y,width,height'"),
        ("1,2,3", "wanted 'x,y,width,height'"),
        ("-1,0,5,5", "wanted 'x,y,width,height'"),
        ("1e3,0,5,5", "wanted 'x,y,width,height'"),
        ("nan,0,1,1", "wanted 'x,y,width,height'"),
        ("9999999,0,5,5", "wanted 'x,y,width,height'"),
        ([0, 0, 1, 1], "wanted 'x,y,width,height'"),
        ("0,0,0,5", "without pixels"),
        ("0.5,0,100,100", "neither whole pixels nor fractions"),
        ("0.5,0,0.6,1", "beyond the picture"),
        ("0,0.01,1,1", "beyond the picture"),
    ],
)
def test_what_is_no_rectangle_is_refused_with_a_reason(wrong: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Rectangle.of(wrong)


@pytest.mark.parametrize("text", ["600,0,41,10", "0,470,10,11"])
def test_pixels_beyond_the_picture_are_no_part_of_it(text: str) -> None:
    with pytest.raises(UnfitViewError, match="beyond the picture, which is 640 x 480"):
        Rectangle.of(text).within(640, 480)


@given(st.integers(0, 999), st.integers(1, 1000), st.integers(1, 4000), st.integers(1, 4000))
def test_no_pixel_of_a_fraction_is_left_out(at: int, wide: int, width: int, height: int) -> None:
    wide = min(wide, 1000 - at)
    text = f"{at / 1000:.3f},0,{wide / 1000:.3f},1"
    box = Rectangle.of(text).within(width, height)
    assert 0 <= box.left <= Fraction(at * width, 1000) < box.left + 1
    assert box.right - 1 < Fraction((at + wide) * width, 1000) <= box.right <= width
