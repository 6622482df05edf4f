"""How a film ends: whole under its name, or not at all, and with a reason that can be used."""

from pathlib import Path

import pytest

from engines.bundle import Bundle
from pipeline.errors import DependencyError, OutputError
from pipeline.overlay import reel
from pipeline.overlay.film import Film
from tests.pipeline.overlay.films import filmed, grey, seen, sources, value
from tests.pipeline.pictures import noisy


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("frames", [1, 60])  # found at the end, found on the way
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, bundle: Bundle, frames: int
) -> None:
    (tmp_path / "out.mp4.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write .*out\.mp4: No space left"):
        filmed(tmp_path / "out.mp4", bundle, [noisy(200, 200)] * frames, [value()] * frames)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


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
