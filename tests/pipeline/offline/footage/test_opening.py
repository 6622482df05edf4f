"""Videos that cannot be read are reported and left out; no video is on both sides."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import FootageError
from pipeline.offline.footage.dataset import draw_validation, open_footage
from pipeline.offline.footage.listing import ListedVideo, Row
from tests.moving import LABELS, write_folder, write_table


def listed(*labels: Sequence[str]) -> list[ListedVideo]:
    """Return a video for each entry, with these labels."""
    return [
        ListedVideo(str(n), Path(str(n)), tuple(Row(0, i, i + 1, x) for i, x in enumerate(some)))
        for n, some in enumerate(labels)
    ]


def test_an_unreadable_video_is_told_with_its_reason_and_left_out(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "clips", videos=2, frames=5)
    whole = open_footage(data, validation=0.2, seed=0)
    (data / "left" / "broken.mp4").write_bytes(b"no video at all")
    footage = open_footage(data, validation=0.2, seed=0)
    (warning,) = set(footage.warnings) - set(whole.warnings)
    assert "left/broken.mp4: no video that can be read" in warning
    assert [video.digest for video in footage.videos] == [video.digest for video in whole.videos]


def test_if_none_can_be_read_nothing_is_trained(tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.mp4").write_bytes(b"no video at all")
    with pytest.raises(FootageError, match=r"0 of 3 videos can be read, of 0 classes") as refused:
        open_footage(tmp_path, validation=0.2, seed=0)
    assert "left/1.mp4" in str(refused.value)


def test_sides_are_drawn_by_video_alike_for_a_seed_and_otherwise_for_another(
    tmp_path: Path,
) -> None:
    data = write_folder(tmp_path / "clips", videos=6, frames=2)
    sides = [
        [video.validation for video in open_footage(data, validation=0.3, seed=seed).videos]
        for seed in (0, 0, 1)
    ]
    assert sides[0] == sides[1] != sides[2]
    assert [sum(sides[0][n : n + 6]) for n in (0, 6, 12)] == [2, 2, 1]  # 30 % of 18 are 5


def test_the_split_of_a_table_is_obeyed(tmp_path: Path) -> None:
    footage = open_footage(
        write_table(tmp_path / "t", videos=4, frames=4, split=True), validation=0.5, seed=0
    )
    assert [video.name for video in footage.videos if video.validation] == ["0.mp4"]


def test_a_class_keeps_its_last_video_for_training() -> None:
    videos = listed(["a"], ["a"], ["a"], ["b"], ["b", "a"])
    for seed in range(20):
        held_back = draw_validation(videos, share=0.9, seed=seed)
        kept = [video for n, video in enumerate(videos) if n not in held_back]
        assert {label for video in kept for label in video.labels} == {"a", "b"}


def test_what_cannot_be_divided_is_refused_with_the_way_out() -> None:
    with pytest.raises(FootageError, match=r"2 videos cannot be divided .* Add videos, or cut one"):
        draw_validation(listed(["a"], ["b"]), share=0.5, seed=0)


def test_a_class_of_one_video_is_said_to_be_trained_but_not_tested(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "clips", videos=2, frames=2)
    (data / "left" / "1.mp4").unlink()
    warnings = open_footage(data, validation=0.3, seed=0).warnings
    assert any("class 'left' occurs in training only" in warning for warning in warnings)
