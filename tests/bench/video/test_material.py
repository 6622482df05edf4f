"""The benchmark's films: the same pictures each time, in groups of the wanted length."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.broker.shots import ShotKind
from tests.bench.served import BenchError
from tests.bench.video.costs import AS_JPEG, AS_UNITS, records, shoot
from tests.bench.video.material import moving_tiles, plaza, recorded, write_films
from tests.moving import write_moving

SIZE = (192, 108)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same 8 pictures in groups of 2 and of 4."""
    pictures = islice(plaza(1.0).pictures(SIZE), 8)
    folder = tmp_path_factory.mktemp("films")
    return write_films(folder, pictures, rate_hz=Fraction(15), groups={"two": 2, "four": 4})


def test_a_share_of_the_tiles_moves_and_always_the_same_ones() -> None:
    tiles = moving_tiles(28, 0.25)

    assert sum(tiles) == 7
    assert tiles == moving_tiles(28, 0.25)
    assert moving_tiles(28, 0) == [False] * 28
    assert moving_tiles(28, 1) == [True] * 28


def test_the_same_pictures_come_at_each_call() -> None:
    material = plaza(0.25)
    one, again = (
        [frame.to_ndarray() for frame in islice(material.pictures(SIZE), 3)] for _ in range(2)
    )

    assert np.array_equal(one, again)


def test_a_picture_in_which_nothing_moves_differs_by_noise_alone() -> None:
    first, second = (
        frame.to_ndarray().astype(int) for frame in islice(plaza(0.0).pictures(SIZE), 2)
    )

    assert 0 < np.abs(first - second).mean() < 4


def test_a_video_begins_again_at_its_end(tmp_path: Path) -> None:
    clip = write_moving(tmp_path / "clip.mp4", [("left", 5)], seed=1)
    pictures = [frame.to_ndarray() for frame in islice(recorded(clip).pictures((64, 64)), 10)]

    assert np.array_equal(pictures[:5], pictures[5:])
    assert recorded(clip).rate_hz == 30


def test_keyframes_come_as_often_as_the_group_says(films: dict[str, Path]) -> None:
    kinds = {name: [shot.kind for shot in shoot(film, AS_UNITS)[0]] for name, film in films.items()}

    key, unit = ShotKind.KEYFRAME, ShotKind.UNIT
    assert kinds == {"two": [key, unit] * 4, "four": [key, unit, unit, unit] * 2}


def test_the_same_film_is_published_as_jpeg_or_as_it_is(films: dict[str, Path]) -> None:
    jpegs, units = (shoot(films["four"], how)[0] for how in (AS_JPEG, AS_UNITS))

    assert {shot.kind for shot in jpegs} == {ShotKind.PICTURE}
    assert [shot.seq for shot in jpegs] == [shot.seq for shot in units] == list(range(8))
    sizes = [sum(record.size for record in records(shots)) for shots in (jpegs, units)]
    assert sizes[1] < sizes[0]


def test_a_film_that_is_not_published_as_wanted_is_no_measurement(tmp_path: Path) -> None:
    reordered = write_moving(tmp_path / "reordered.mp4", [("left", 12)], seed=1)  # x264's B-frames

    with pytest.raises(BenchError, match="not published as wanted"):
        shoot(reordered, AS_UNITS)
