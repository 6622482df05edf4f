"""The renderer puts a person where the joints say, at any size."""

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")
pytest.importorskip("PIL", reason="the pack of actors needs the extra longtake[train]")

from engines.train.people.streams import Take
from tests.engines.train.rendered import actors, take


def person(one: Take, size: int) -> NDArray[np.bool_]:
    """Where the person is: (T, size, size), the pixels that change with the colour of clothes."""
    shots = one.shots
    shots["noise"], shots["ambient"], shots["gain"], shots["bias"] = 0, 1, 1, 0
    shots["tint"] = 1
    light = one.pixels(actors(), size=size).astype(int)
    shots["tint"] = 0
    different: NDArray[np.bool_] = (light != one.pixels(actors(), size=size)).any(-1)
    return different


def nearby(mask: NDArray[np.bool_], row: int, column: int) -> bool:
    """Is the person within 2 pixels?"""
    top, left = max(row - 2, 0), max(column - 2, 0)
    return bool(mask[top : row + 3, left : column + 3].any())


@pytest.mark.parametrize("seed", range(5))
def test_joints_land_on_the_person(seed: int) -> None:
    one = take(seed)
    masks, joints = person(one, 96), one.joints()
    places = ((joints[..., :2] + 1) * 48).astype(int)  # (T, 16, column and row)
    hits = [
        nearby(masks[t], row, column)
        for t, skeleton in enumerate(places)
        for column, row in skeleton
        if 0 <= row < 96 and 0 <= column < 96
    ]
    assert np.mean(hits) > 0.99


def test_a_picture_of_another_size_shows_the_same() -> None:
    one = take(0, length=10)
    small, large = person(one, 48), person(one, 96)
    halved = large.reshape(10, 48, 2, 48, 2).mean((2, 4)) > 0.5
    assert (halved == small).mean() > 0.98


def test_a_person_who_turns_round_keeps_the_root_in_place() -> None:
    one = take(1, length=2)
    before = one.joints()
    one.shots["heading"] += np.pi
    after = one.joints()
    root, neck = 0, 2
    np.testing.assert_allclose(before[:, root, :2], after[:, root, :2], atol=0.1)
    assert not np.allclose(before[:, neck:], after[:, neck:], atol=0.05)


def test_noise_comes_from_the_seed_of_the_shot() -> None:
    one = take(2, length=2)
    one.shots["noise"] = 8
    first = one.pixels(actors(), size=32)
    one.shots["noise_seed"] += 1
    assert (first != one.pixels(actors(), size=32)).any()
