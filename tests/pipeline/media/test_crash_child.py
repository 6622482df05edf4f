"""A picture that crashes its decoder kills only a child process."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.model.inputs import PictureInput
from pipeline.errors import CrashingFrameError, UndecodableFrameError
from pipeline.media import crash_child
from pipeline.media.crash_child import ChildDecoder
from pipeline.media.pictures import Fit, decode_picture
from tests.pipeline.pictures import jpeg

FIT = Fit(16, 24, "stretch")
MOST_PIXELS = 200 * 100
INPUT = PictureInput(
    height=16, width=24, fit="stretch", colour="rgb", mean=(0, 0, 0), std=(1, 1, 1), rate_hz=None
)
DEADLY = b"kills its decoder"
HANGING = b"hangs its decoder"
# Every Python with this on its path imports it: a decoder that crashes in two cases.
HOLES = f"""
import os, time
import pipeline.media.pictures
whole = pipeline.media.pictures.decode_picture

def decode_picture(content, *how, **more):
    if content == {DEADLY!r}:
        os.abort()
    if content == {HANGING!r}:
        time.sleep(60)
    return whole(content, *how, **more)

pipeline.media.pictures.decode_picture = decode_picture
"""


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildDecoder]:
    (tmp_path / "sitecustomize.py").write_text(HOLES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = ChildDecoder(INPUT, max_frame_pixels=MOST_PIXELS)
    yield made
    made.close()


def test_a_sound_picture_gives_the_same_pixels_as_in_our_own_process(decoder: ChildDecoder) -> None:
    for seed in (1, 2):
        picture = jpeg(40, 30, seed=seed)
        assert np.array_equal(decoder(picture), decode_picture(picture, FIT))


def test_a_broken_picture_is_refused_with_its_reason(decoder: ChildDecoder) -> None:
    with pytest.raises(UndecodableFrameError, match="JPEG"):
        decoder(b"no picture")


def test_a_picture_above_the_limit_of_pixels_is_refused_there_too(decoder: ChildDecoder) -> None:
    with pytest.raises(UndecodableFrameError, match=r"at most 20000 are decoded \(max_frame_pix"):
        decoder(jpeg(101, 200, seed=1))


def test_a_picture_that_kills_its_decoder_is_convicted_and_the_next_is_decoded(
    decoder: ChildDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CrashingFrameError, match="17 bytes crashed"):
        decoder(DEADLY)
    assert decoder(jpeg(40, 30, seed=1)).shape == (16, 24, 3)


def test_a_picture_that_hangs_its_decoder_is_convicted_too(
    decoder: ChildDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder(jpeg(40, 30, seed=1))  # the child is up
    monkeypatch.setattr(crash_child, "ANSWER_S", 2.0)
    with pytest.raises(CrashingFrameError):
        decoder(HANGING)


def test_a_child_that_dies_of_something_else_convicts_nobody(decoder: ChildDecoder) -> None:
    decoder(jpeg(40, 30, seed=1))
    child = decoder._child  # noqa: SLF001 - who else could shoot it
    assert child is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # the decoder collects it itself
    assert decoder(jpeg(40, 30, seed=2)).shape == (16, 24, 3)
