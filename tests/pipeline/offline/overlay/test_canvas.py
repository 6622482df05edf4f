"""Shapes and words on a picture: smooth, and clipped at its edges."""

import numpy as np
import pytest

from pipeline.offline.overlay import canvas as canvas_module
from pipeline.offline.overlay.canvas import Canvas, shortened, text_width


def blank() -> Canvas:
    return Canvas(np.zeros((20, 30, 3), np.uint8))


@pytest.mark.parametrize("place", [(-9.0, 12.0), (15.5, 300.0), (-500.0, -500.0), (8.0, 4.0)])
def test_what_is_drawn_beyond_the_edges_is_left_out(place: tuple[float, float]) -> None:
    canvas = blank()
    canvas.text(place, "a long word", size=14, colour=(255, 255, 255))
    canvas.line(place, (40.0, -7.0), width=3, colour=(255, 0, 0))
    canvas.box(place, (place[0] + 10, place[1] + 5), radius=3, colour=(0, 0, 255))
    assert canvas.pixels.shape == (20, 30, 3)


def test_edges_are_smooth() -> None:
    canvas = blank()
    canvas.line((2.0, 2.0), (17.0, 9.0), width=3, colour=(255, 255, 255))
    shades = canvas.pixels[..., 0]
    assert (shades == 255).any()
    assert len(np.unique(shades)) > 10


def test_a_box_covers_its_pixels_and_no_others() -> None:
    canvas = blank()
    canvas.box((4, 6), (14, 11), radius=0, colour=(200, 100, 50), opacity=0.5)
    assert (canvas.pixels[6:11, 4:14] == (100, 50, 25)).all()
    assert (canvas.pixels != 0).any(axis=2).sum() == 50


def test_a_machine_without_fonts_writes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_module, "WIDE_FONTS", ("no such font.ttf",))
    canvas = blank()
    canvas.text((2, 15), "тест", size=17, colour=(255, 255, 255))
    assert canvas.pixels.any()


def test_text_is_drawn_on_one_line_with_its_escapes() -> None:
    assert text_width("a\n\x1b[31m\u202eb", 20) == text_width(r"a\n\u001b[31m\u202eb", 20)


def test_a_text_without_an_end_is_cut_and_costs_no_more_than_a_long_one() -> None:
    endless, long = "x" * 1_000_000, "x" * 200
    assert text_width(endless, 20) == text_width(long, 20)
    assert shortened(endless, 20, 100) == shortened(long, 20, 100)


def test_words_that_are_too_long_end_in_an_ellipsis() -> None:
    assert shortened("walk", 14, text_width("walk", 14)) == "walk"
    cut = shortened("walk backwards", 14, 60)
    assert cut.startswith("walk")
    assert cut.endswith("...")
    assert text_width(cut, 14) <= 60
