"""Training uses the frames that serving steps, with the labels of their times."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engines.model.bundle import load_bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.media.sources import open_source
from pipeline.offline.footage.dataset import open_footage
from pipeline.offline.footage.video import UNLABELLED, Span, Video
from pipeline.offline.run import SourceReport, predict_sources, serve_files
from tests.engines.bundles import SIDE, write_tiny
from tests.moving import write_moving, write_table


def shape(rate_hz: float | None) -> SimpleNamespace:
    return SimpleNamespace(height=SIDE, width=SIDE, fit="stretch", rate_hz=rate_hz)


def video(path: Path, *spans: Span) -> Video:
    return Video(path.name, path, "", validation=False, spans=spans)


def test_ten_of_thirty_frames_a_second_are_a_third_and_have_the_labels_of_their_times(
    tmp_path: Path,
) -> None:
    path = write_moving(tmp_path / "a.mp4", [("left", 60), ("right", 60)], seed=0)
    found = video(path, Span(0, 2_000_000, 0), Span(2_000_000, 3_000_000, 1))
    times_us = np.array([time_us for time_us, _ in found.frames(shape(10.0))])
    assert len(times_us) in (40, 41)  # admission lets the second frame through half a period early
    counts = np.bincount(found.labels_at(times_us) + 1)
    assert counts.tolist() == [10, len(times_us) - 20, 10]
    np.testing.assert_array_equal(found.labels_at(times_us) == UNLABELLED, times_us >= 3_000_000)


@pytest.mark.parametrize("rate_hz", [None, 7.0, 12.0, 30.0])
def test_the_frames_are_those_that_run_predicts(tmp_path: Path, rate_hz: float | None) -> None:
    path = write_moving(tmp_path / "a.mp4", [("left", 50)], seed=0, rate=25)
    bundle = load_bundle(write_tiny(tmp_path / "tiny", rate_hz=rate_hz))
    engine = onnxruntime_engine(bundle, threads=1)
    reports = [SourceReport("a")]
    opened = [open_source(path)]
    run = predict_sources(opened, model=serve_files(bundle, engine), reports=reports)
    frames = [outcome.frame for outcome in run if outcome.answer is not None]
    times_us = [time_us for time_us, _ in video(path).frames(shape(rate_hz))]
    assert times_us == [frame * 40_000 for frame in frames]
    assert len(frames) > 10


def test_a_video_that_is_cut_off_is_named_with_what_it_declares(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_moving(tmp_path / "a.mkv", [("left", 60), ("right", 60)], seed=0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert list(video(path).frames(shape(None)))
    assert "a.mkv: " in caplog.text
    assert "declares 4.0 s" in caplog.text


def test_the_rows_of_a_table_label_its_videos(tmp_path: Path) -> None:
    footage = open_footage(write_table(tmp_path / "t", videos=3), validation=0.3, seed=0)
    for one in footage.videos:
        times_us = np.array([time_us for time_us, _ in one.frames(shape(10.0))])
        labels = one.labels_at(times_us)
        changes = labels[np.flatnonzero(np.diff(labels, prepend=-2))]  # each class once, then none
        assert sorted(changes[:3]) == [0, 1, 2]
        assert changes[3:].tolist() == [UNLABELLED]


def test_a_digest_tells_content_labels_and_sides(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t", videos=3, frames=4)
    digests = {open_footage(path, validation=0.3, seed=seed).digest for seed in (0, 0, 1)}
    path.write_text(path.read_text().replace("left", "port"))
    digests.add(open_footage(path, validation=0.3, seed=0).digest)
    assert len(digests) == 3
