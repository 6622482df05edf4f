"""A mark that was drawn is read back; a picture without a mark is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cameras.blocks import Mark, draw, read


def picture(mark: Mark, width: int, height: int) -> NDArray[np.uint8]:
    luma = np.frombuffer(draw(mark, width, height), np.uint8).reshape(height, width, 1)
    return luma.repeat(3, axis=2)


@pytest.mark.parametrize("size", [(320, 240), (64, 48), (161, 127)])
def test_a_mark_survives_noise_at_every_size(size: tuple[int, int]) -> None:
    mark = Mark(16_000_000, 1_795_759_369_900)
    noise = np.random.default_rng(3).normal(0, 25, (*reversed(size), 3))
    assert read((picture(mark, *size) + noise).clip(0, 255)) == mark


def test_a_picture_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="no mark in a picture of 64 x 48"):
        read(np.zeros((48, 64, 3), np.uint8))
