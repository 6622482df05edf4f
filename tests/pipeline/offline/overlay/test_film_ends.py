"""A film ends complete under its name, or not at all with a useful error."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engines.model.bundle import Bundle
from pipeline.errors import DependencyError, OutputError
from pipeline.offline.overlay import reel
from pipeline.offline.overlay.film import Film
from tests.pipeline.offline.overlay.films import filmed, grey, prediction, seen, sources
from tests.pipeline.pictures import noisy


def stop_at(path: Path, bundle: Bundle, last: int, exc: BaseException) -> None:
    with Film(path, bundle=bundle, truth=None) as film:
        for frame in film.watch(sources([grey()] * 9)):
            film.show(frame.index, prediction(), None)
            if frame.index == last:
                raise exc


def test_ctrl_c_leaves_a_whole_film_that_is_shorter(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        stop_at(path, bundle, 4, KeyboardInterrupt())
    assert len(seen(path)) == 5
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_of_the_user_that_ends_in_part_is_kept(tmp_path: Path, bundle: Bundle) -> None:
    theirs = tmp_path / "out.mp4.part"
    theirs.write_bytes(b"of another program")
    with Film(tmp_path / "out.mp4", bundle=bundle, truth=None):
        pass
    assert theirs.read_bytes() == b"of another program"


def test_after_an_error_there_is_what_was_there_before(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="broken"):
        stop_at(path, bundle, 4, ValueError("broken"))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.glob("*.part")) == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limit the size of files, like a full disk, without a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])  # found at once, on the way, at the end
def test_a_disk_without_room_is_told_and_nothing_is_left(
    tmp_path: Path, bundle: Bundle, share: float
) -> None:
    path = tmp_path / "out.mp4"
    pictures = [noisy(100, 100).rotate(90 * n) for n in range(40)]
    filmed(path, bundle, pictures, [prediction()] * 40)
    room = int(path.stat().st_size * share)
    path.unlink()
    with (
        files_of_at_most(room),
        pytest.raises(OutputError, match=r"cannot write .*out\.mp4: File too large"),
    ):
        filmed(path, bundle, pictures, [prediction()] * 40)
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


def test_a_film_is_for_its_owner_alone(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "out.mp4"
    path.touch(mode=0o644)
    with Film(path, bundle=bundle, truth=None) as film:
        for frame in film.watch(sources([grey()] * 2)):
            film.show(frame.index, prediction(), None)
    assert path.stat().st_mode & 0o777 == 0o600
