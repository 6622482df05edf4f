"""A damaged video or folder gives pictures or a `SourceError`, within two seconds."""

import time
from pathlib import Path
from random import Random

import pytest

from pipeline.errors import SourceError
from pipeline.media.sources import open_source
from tests.damaged.mutations import mutate
from tests.damaged.seeds import bombs
from tests.pipeline.pictures import write_video

MOST_S = 2.0
FILES = 60  # of each kind
MUXERS = {"mp4": None, "ts": "mpegts", "mkv": "matroska", "avi": "avi"}


def watch(path: Path) -> str:
    """Read a source to its end; returns the error's text, or "". Fails if it takes too long."""
    began_s = time.thread_time()
    try:
        for _ in open_source(path):
            pass
    except SourceError as exc:
        return str(exc)
    finally:
        assert time.thread_time() - began_s < MOST_S
    return ""


@pytest.mark.parametrize("kind", MUXERS)
def test_a_damaged_video_gives_frames_or_says_why_not(tmp_path: Path, kind: str) -> None:
    rng = Random(1)  # noqa: S311 - reproducible on purpose
    path = tmp_path / f"film.{kind}"
    whole = write_video(path, [40 * n for n in range(10)], muxer=MUXERS[kind]).read_bytes()
    errors = set[str]()
    for _ in range(FILES):
        path.write_bytes(mutate(whole, rng))
        errors.add(watch(path))
    assert all(words == "" or words.startswith(str(path)) for words in errors)
    assert len(errors) > 1


def test_the_error_of_a_folder_with_a_bomb_names_the_picture(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(bombs()["more rows than said"])
    assert watch(tmp_path).startswith(f"{tmp_path}: none of its 1 pictures decodes; 1.png: PNG of ")
