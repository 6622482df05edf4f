"""`longtake run --overlay`: the predictions as ever, and a film beside them."""

from pathlib import Path

import av
import pytest

from tests.cli.commands import Longtake
from tests.engines.bundles import write_tiny


def test_the_predictions_are_the_same_byte_for_byte(
    longtake: Longtake, tmp_path: Path, clip: Path
) -> None:
    skeleton = {"joints": ["elbow", "hand"], "bones": [[0, 1]]}
    bundle = write_tiny(tmp_path / "seen", skeleton=skeleton)
    alone = longtake("run", clip, "--bundle", bundle)
    drawn = longtake("run", clip, "--bundle", bundle, "--overlay", "seen.mp4")
    assert (alone.code, drawn.code) == (0, 0)
    assert drawn.out == alone.out
    assert len(drawn.lines) == 20


def test_the_film_has_all_frames_those_that_are_sampled_out_too(
    longtake: Longtake, tmp_path: Path, clip: Path
) -> None:
    bundle = write_tiny(tmp_path / "slow", rate_hz=5)
    assert len(longtake("run", clip, "--bundle", bundle, "--overlay", "seen.mp4").lines) == 6
    with av.open(str(tmp_path / "seen.mp4")) as film, av.open(str(clip)) as source:
        shown, was = film.streams.video[0], source.streams.video[0]
        assert shown.frames == 20
        assert shown.average_rate == 20
        assert (shown.width, shown.height) == (8 * was.width, 8 * was.height)


def test_an_overlay_is_of_one_source(longtake: Longtake, clip: Path) -> None:
    ended = longtake("run", clip, clip, "--overlay", "seen.mp4")
    assert ended.code == 2
    assert "--overlay draws on one source, not on 2" in ended.err


def test_an_overlay_is_an_mp4(longtake: Longtake, clip: Path) -> None:
    ended = longtake("run", clip, "--overlay", "seen.avi")
    assert ended.code == 2
    assert "--overlay writes an MP4; seen.avi must end in .mp4" in ended.err


def test_an_overlay_never_replaces_its_source(longtake: Longtake, clip: Path) -> None:
    before = clip.read_bytes()
    ended = longtake("run", clip, "--overlay", clip)
    assert ended.code == 2
    assert "would replace its own source" in ended.err
    assert clip.read_bytes() == before


@pytest.mark.parametrize("source", ["nowhere.mp4", "junk.mp4"])
def test_a_source_that_cannot_be_read_leaves_no_film(
    longtake: Longtake, tmp_path: Path, tiny: Path, source: str
) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 999)
    ended = longtake("run", source, "--bundle", tiny, "--overlay", "seen.mp4")
    assert ended.code == 18
    assert list(tmp_path.glob("seen*")) == []


def test_a_folder_that_is_not_there_is_named(longtake: Longtake, tiny: Path, clip: Path) -> None:
    ended = longtake("run", clip, "--bundle", tiny, "--overlay", "nowhere/seen.mp4")
    assert ended.code == 19
    assert "cannot write nowhere/seen.mp4: No such file or directory" in ended.complaint
