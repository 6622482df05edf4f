"""The overlay: every frame, at its time, and on it what the newest prediction says."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engines.bundle import Bundle
from pipeline.errors import DependencyError, OutputError
from pipeline.overlay import reel
from pipeline.overlay.film import Film
from pipeline.sources import SourceFrame
from tests.engines.bundles import Fit, tiny
from tests.pipeline.pictures import scene

HAND = {"joints": ["elbow", "hand"], "bones": [[0, 1]]}
Pictures = Sequence[NDArray[np.int64]]


def value(label: str = "walk", *, frames: int = 7, reset: str | None = None) -> bytes:
    scores = {"stand": 0.1, "walk": 0.1, "run": 0.1, label: 0.8}
    memory = {"frames": frames, "age_s": 0.0, "gap_s": None, "reset": reset, "note": None}
    said = {"label": label, "confidence": 0.8, "scores": scores, "memory": memory}
    return json.dumps(said).encode()


def grey(height: int = 100, width: int = 200) -> Image.Image:
    return Image.new("RGB", (width, height), (90, 90, 90))


def sources(pictures: Sequence[Image.Image], step_us: float = 40_000) -> Iterator[SourceFrame]:
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        yield SourceFrame(index, round(index * step_us), frame)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path / "tiny")


def filmed(
    path: Path,
    bundle: Bundle,
    pictures: Sequence[Image.Image],
    values: Sequence[bytes | None],
    *,
    features: NDArray[np.float32] | None = None,
    truth: Sequence[str] | None = None,
    step_us: float = 40_000,
) -> Pictures:
    """Film, and look at what was written."""
    with Film(path, bundle=bundle, truth=truth) as film:
        for frame in film.watch(sources(pictures, step_us)):
            film.show(frame.index, values[frame.index], features)
    return seen(path)


def seen(path: Path) -> Pictures:
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [frame.to_ndarray(format="rgb24").astype(np.int64) for frame in frames]


def differ(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(abs(one - other).max(axis=-1) > 60)


@pytest.mark.parametrize(
    ("fit", "size", "joint", "place"),
    [
        ("stretch", (200, 100), (0.5, 0.4), (150, 70)),
        ("letterbox", (200, 100), (0.5, 0.4), (150, 90)),  # it sees 200 x 200, bars and all
        ("letterbox", (100, 200), (0.4, 0.5), (90, 150)),
        ("crop", (200, 100), (0.5, 0.4), (125, 70)),  # it sees the 100 x 100 in the middle
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
    (bare,) = filmed(path, bundle, pictures, [value()])
    (drawn,) = filmed(path, bundle, pictures, [value()], features=dot)
    rows, columns = np.nonzero(differ(bare, drawn))
    factor = len(bare) / height
    assert len(rows) > 10
    assert columns.mean() + 0.5 == pytest.approx(place[0] * factor, abs=1.5)
    assert rows.mean() + 0.5 == pytest.approx(place[1] * factor, abs=1.5)


@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e30, -1e30])
def test_joints_far_out_of_the_picture_harm_nothing(tmp_path: Path, wild: float) -> None:
    bundle = tiny(tmp_path / "tiny", skeleton=HAND)
    hand = np.array([0, 0, 0, wild, wild, 0], np.float32)
    assert len(filmed(tmp_path / "out.mp4", bundle, [grey()], [value()], features=hand)) == 1


@pytest.mark.parametrize("rate_hz", [Fraction(15), Fraction(30_000, 1001), Fraction(25)])
def test_the_film_has_every_frame_at_the_rate_of_its_source(
    tmp_path: Path, bundle: Bundle, rate_hz: Fraction
) -> None:
    path, step_us = tmp_path / "out.mp4", float(1_000_000 / rate_hz)
    filmed(path, bundle, [grey()] * 9, [value()] * 9, step_us=step_us)
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
            film.show(frame.index, value(), None)
    with av.open(str(path)) as container:
        shown_us = [round(1e6 * frame.time) for frame in container.decode(video=0)]
    assert shown_us == [0, 40_000, 240_000, 240_003, 280_000]


def test_a_frame_without_a_prediction_shows_the_last_one(tmp_path: Path, bundle: Bundle) -> None:
    values = [value("walk"), None, value("run")]
    walk, still, run = filmed(tmp_path / "out.mp4", bundle, [grey()] * 3, values)
    assert not differ(walk, still).any()
    assert differ(still, run).sum() > 50


def test_nothing_is_drawn_before_the_first_prediction(tmp_path: Path, bundle: Bundle) -> None:
    bare, drawn = filmed(tmp_path / "out.mp4", bundle, [grey()] * 2, [None, value()])
    assert abs(bare - 90).max() < 4
    assert differ(bare, drawn).any()


def test_a_reset_frames_the_picture_and_fades_away(tmp_path: Path, bundle: Bundle) -> None:
    values = [value(), value(reset="gap"), value(), value(), value()]
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
    (bare,) = filmed(path, bundle, [grey()], [value()])
    (drawn,) = filmed(path, bundle, [grey()], [value()], truth=[truth])
    words = drawn[differ(bare, drawn)]
    lit = words[words.max(axis=1) > 150]
    assert (lit.argmax(axis=1) == channel).mean() > 0.9


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [
        (191, 107, (764, 428)),  # enlarged four times, to be readable
        (641, 401, (642, 402)),  # H.264 wants even sides
        (1500, 40, (1500, 40)),  # enlarged it would be too wide
        (30, 60, (180, 360)),  # a panel that hardly fits
    ],
)
def test_any_size_is_filmed_and_its_colours_stay(
    tmp_path: Path, bundle: Bundle, width: int, height: int, wanted: tuple[int, int]
) -> None:
    picture = scene(height, width)
    bare, drawn = filmed(tmp_path / "out.mp4", bundle, [picture] * 2, [None, value()])
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


def stop_at(path: Path, bundle: Bundle, last: int, exc: BaseException) -> None:
    with Film(path, bundle=bundle, truth=None) as film:
        for frame in film.watch(sources([grey()] * 9)):
            film.show(frame.index, value(), None)
            if frame.index == last:
                raise exc


def test_ctrl_c_leaves_a_whole_film_that_is_shorter(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        stop_at(path, bundle, 4, KeyboardInterrupt())
    assert len(seen(path)) == 5
    assert list(tmp_path.glob("*.part")) == []


def test_after_an_error_there_is_what_was_there_before(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="broken"):
        stop_at(path, bundle, 4, ValueError("broken"))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.glob("*.part")) == []


def test_a_source_without_a_frame_leaves_no_film(tmp_path: Path, bundle: Bundle) -> None:
    with Film(tmp_path / "out.mp4", bundle=bundle, truth=None):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_what_cannot_be_written_is_told_before_the_first_frame(
    tmp_path: Path, bundle: Bundle
) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/a\.mp4: No such file"):
        Film(tmp_path / "nowhere" / "a.mp4", bundle=bundle, truth=None)
    with pytest.raises(OutputError, match=r"cannot write .*a\.mp4: it is a folder"):
        Film(tmp_path / "a.mp4", bundle=bundle, truth=None)


def test_an_av_without_the_encoder_is_named_with_the_way_out(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reel, "ENCODER", "x262")
    with pytest.raises(
        DependencyError, match=r"encoder x262, which this build of av .* pip install"
    ):
        Film(tmp_path / "out.mp4", bundle=bundle, truth=None)
