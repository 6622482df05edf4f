"""The overlay has every frame at its time, with the newest prediction on it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engines.model.bundle import Bundle
from pipeline.offline.overlay.film import Film
from pipeline.records import Reset
from tests.engines.bundles import Fit, tiny
from tests.pipeline.offline.overlay.films import filmed, grey, prediction, sources
from tests.pipeline.pictures import scene

HAND = {"joints": ["elbow", "hand"], "bones": [[0, 1]]}


def differ(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(abs(one - other).max(axis=-1) > 60)


@pytest.mark.parametrize(
    ("fit", "size", "joint", "place"),
    [
        ("stretch", (200, 100), (0.5, 0.4), (150, 70)),
        (
            "letterbox",
            (200, 100),
            (0.5, 0.4),
            (150, 90),
        ),  # the input is 200 x 200, with bars
        ("letterbox", (100, 200), (0.4, 0.5), (90, 150)),
        (
            "crop",
            (200, 100),
            (0.5, 0.4),
            (125, 70),
        ),  # the input is the middle 100 x 100
        ("crop", (100, 200), (0.4, 0.5), (70, 125)),
    ],
)
def test_a_joint_is_drawn_where_the_model_saw_it(
    tmp_path: Path,
    fit: Fit,
    size: tuple[int, int],
    joint: tuple[float, float],
    place: tuple[int, int],
) -> None:
    bundle = tiny(tmp_path / "tiny", fit=fit, skeleton=HAND)
    (x, y), (width, height) = joint, size
    dot = np.array([x - 0.03, y, 9, x + 0.03, y, -9], np.float32)  # a short bone
    pictures, path = [grey(height, width)], tmp_path / "out.mp4"
    (bare,) = filmed(path, bundle, pictures, [prediction()])
    (drawn,) = filmed(path, bundle, pictures, [prediction()], features=dot)
    rows, columns = np.nonzero(differ(bare, drawn))
    factor = len(bare) / height
    assert len(rows) > 10
    assert columns.mean() + 0.5 == pytest.approx(place[0] * factor, abs=1.5)
    assert rows.mean() + 0.5 == pytest.approx(place[1] * factor, abs=1.5)


@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e30, -1e30])
def test_joints_far_out_of_the_picture_harm_nothing(tmp_path: Path, wild: float) -> None:
    bundle = tiny(tmp_path / "tiny", skeleton=HAND)
    hand = np.array([0, 0, 0, wild, wild, 0], np.float32)
    assert len(filmed(tmp_path / "out.mp4", bundle, [grey()], [prediction()], features=hand)) == 1


@pytest.mark.parametrize("rate_hz", [Fraction(15), Fraction(30_000, 1001), Fraction(25)])
def test_the_film_has_every_frame_at_the_rate_of_its_source(
    tmp_path: Path, bundle: Bundle, rate_hz: Fraction
) -> None:
    path, step_us = tmp_path / "out.mp4", float(1_000_000 / rate_hz)
    filmed(path, bundle, [grey()] * 9, [prediction()] * 9, step_us=step_us)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.codec.name, stream.pix_fmt) == (9, "h264", "yuv420p")
        assert stream.average_rate == rate_hz


def test_uneven_times_stay_uneven(tmp_path: Path, bundle: Bundle) -> None:
    times_us = [0, 40_000, 240_000, 240_000, 280_000]
    path = tmp_path / "out.mp4"
    with Film(path, bundle=bundle, truth=None) as film:
        frames = (replace(f, pts_us=times_us[f.index]) for f in sources([grey()] * 5))
        for frame in film.watch(frames):
            film.show(frame.index, prediction(), None)
    with av.open(str(path)) as container:
        shown_us = [round(1e6 * frame.time) for frame in container.decode(video=0)]
    assert shown_us == [0, 40_000, 240_000, 240_003, 280_000]


def test_a_frame_without_a_prediction_shows_the_last_one(tmp_path: Path, bundle: Bundle) -> None:
    values = [prediction("walk"), None, prediction("run")]
    walk, still, run = filmed(tmp_path / "out.mp4", bundle, [grey()] * 3, values)
    assert not differ(walk, still).any()
    assert differ(still, run).sum() > 50


def test_nothing_is_drawn_before_the_first_prediction(tmp_path: Path, bundle: Bundle) -> None:
    bare, drawn = filmed(tmp_path / "out.mp4", bundle, [grey()] * 2, [None, prediction()])
    assert abs(bare - 90).max() < 4
    assert differ(bare, drawn).any()


def test_a_reset_frames_the_picture_and_fades_away(tmp_path: Path, bundle: Bundle) -> None:
    values = [prediction(), prediction(reset=Reset.GAP), prediction(), prediction(), prediction()]
    pictures = [grey()] * 5
    shown = filmed(tmp_path / "out.mp4", bundle, pictures, values, step_us=300_000)
    before, at, later, gone, after = (picture[200, 1] for picture in shown)
    assert at[0] > 220  # amber
    assert at[2] < 90
    assert before[0] < later[0] < at[0]
    assert abs(gone - before).max() < 4
    assert abs(after - before).max() < 4


@pytest.mark.parametrize(("truth", "channel"), [("walk", 1), ("run", 0)])
def test_the_truth_is_green_when_the_label_is_right_and_red_when_not(
    tmp_path: Path, bundle: Bundle, truth: str, channel: int
) -> None:
    path = tmp_path / "out.mp4"
    (bare,) = filmed(path, bundle, [grey()], [prediction()])
    (drawn,) = filmed(path, bundle, [grey()], [prediction()], truth=[truth])
    words = drawn[differ(bare, drawn)]
    lit = words[words.max(axis=1) > 150]
    assert (lit.argmax(axis=1) == channel).mean() > 0.9


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [
        (191, 107, (764, 428)),  # enlarged four times, to be readable
        (641, 401, (642, 402)),  # H.264 needs even sides
        (1500, 40, (1500, 40)),  # enlarged it would be too wide
        (30, 60, (180, 360)),  # a panel that hardly fits
    ],
)
def test_any_size_is_filmed_and_its_colours_stay(
    tmp_path: Path, bundle: Bundle, width: int, height: int, wanted: tuple[int, int]
) -> None:
    picture = scene(height, width)
    bare, drawn = filmed(tmp_path / "out.mp4", bundle, [picture] * 2, [None, prediction()])
    assert bare.shape == drawn.shape == (wanted[1], wanted[0], 3)
    original = np.asarray(picture.resize(wanted, Image.Resampling.BILINEAR)).astype(np.int64)
    assert np.median(abs(bare - original)) <= 3


def test_a_source_that_changes_its_shape_gets_black_bars(tmp_path: Path, bundle: Bundle) -> None:
    pictures = [grey(360, 360), grey(50, 100)]
    first, second = filmed(tmp_path / "out.mp4", bundle, pictures, [None, None])
    assert second.shape == first.shape
    assert second[:88].max() < 8
    assert abs(second[92:268] - 90).max() < 8
    assert second[272:].max() < 8
