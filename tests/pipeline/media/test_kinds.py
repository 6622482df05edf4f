"""Each kind of input has its decoder; an unknown kind gives a clear error."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import decoder_for, picture_input, shown_size, source_decoder_for
from pipeline.media.pictures import Fit, decode_picture
from pipeline.media.sources import open_source
from tests.engines.bundles import letters, tiny
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
    assert source_decoder_for(spec)(frame).shape == spec.array.shape


def test_what_needs_pictures_refuses_a_bundle_for_another_kind(tmp_path: Path) -> None:
    assert picture_input(tiny(tmp_path / "tiny"), what="an overlay").height == 16
    with pytest.raises(
        ConfigError, match=r"an overlay works with .* pictures; tiny@\w+ takes lett"
    ):
        picture_input(letters(tmp_path / "letters"), what="an overlay")
