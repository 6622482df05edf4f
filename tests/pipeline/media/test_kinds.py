"""Each kind of input has its decoder; an unknown kind gives a clear error."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import (
    decoder_for,
    fit_source_frame,
    letters_input,
    open_fitting_for,
    picture_input,
    shown_size,
)
from pipeline.media.pictures import Fit, decode_picture
from pipeline.media.sources import open_source
from tests.engines.bundles import lettered, letters, tiny
from tests.pipeline.pictures import jpeg


def test_pictures_are_decoded_to_the_array_that_the_bundle_takes(tmp_path: Path) -> None:
    spec, picture = tiny(tmp_path, fit="crop").input, jpeg(40, 30, seed=1)
    decoded = decoder_for(spec, max_frame_pixels=FRAME_PIXELS)(picture)
    assert (decoded.shape, decoded.dtype) == (spec.array.shape, spec.array.dtype)
    assert np.array_equal(decoded, decode_picture(picture, Fit(16, 16, "crop")))
    assert shown_size(spec) == "16x16"


def test_a_file_of_pictures_gives_the_same_array(tmp_path: Path) -> None:
    spec = tiny(tmp_path / "tiny").input
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.jpg").write_bytes(jpeg(40, 30, seed=1))
    (frame,) = open_source(tmp_path / "pictures")
    assert fit_source_frame(frame, spec).shape == spec.array.shape


@pytest.mark.parametrize(("kind", "content"), [("text", b"caf\xc3\xa9"), ("bases", b"acgu n")])
def test_letters_are_decoded_to_the_array_that_the_bundle_takes(
    tmp_path: Path, kind: Any, content: bytes
) -> None:
    spec = lettered(tmp_path, kind).input
    decoded = decoder_for(spec, max_frame_pixels=FRAME_PIXELS)(content)
    assert (decoded.shape, decoded.dtype) == (spec.array.shape, spec.array.dtype)
    assert shown_size(spec) == f"{kind} of 12 bytes"
    assert open_fitting_for(spec, max_frame_pixels=FRAME_PIXELS) is None


def test_what_needs_letters_refuses_a_bundle_for_pictures(tmp_path: Path) -> None:
    assert letters_input(lettered(tmp_path / "text"), what="this").length == 12
    with pytest.raises(ConfigError, match=r"this works with .* text or bases; tiny@\w+ takes pic"):
        letters_input(tiny(tmp_path / "tiny"), what="this")


def test_what_needs_pictures_refuses_a_bundle_for_another_kind(tmp_path: Path) -> None:
    assert picture_input(tiny(tmp_path / "tiny"), what="an overlay").height == 16
    with pytest.raises(
        ConfigError, match=r"an overlay works with .* pictures; tiny@\w+ takes lett"
    ):
        picture_input(letters(tmp_path / "letters"), what="an overlay")
