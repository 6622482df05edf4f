"""Scaling by planes gives the bytes of scaling packed pixels, for all that libav can decode to."""

import itertools

import av
import numpy as np
import pytest

from pipeline.media import pictures
from pipeline.media.pictures import Fit, fit_frame

FORMATS = (  # of the decoders of JPEG, PNG, WebP and H.264
    *("yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p", "yuv420p", "yuva420p"),
    *("gray", "gray16be", "ya8", "ya16be", "monob", "pal8"),
    *("rgb24", "rgba", "rgb48be", "rgba64be", "gbrp", "bgra", "argb"),
)
SIZES = ((24, 40), (32, 40), (40, 33), (64, 33), (97, 64), (200, 31), (131, 257))  # height, width
FITS = (*(Fit(16, 24, fit) for fit in ("stretch", "letterbox", "crop")), Fit(32, 7, "stretch"))


def drawn(kind: str, height: int, width: int, rng: np.random.Generator) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, kind)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, dtype=np.uint8).tobytes())
    return frame


@pytest.mark.parametrize("kind", FORMATS)
def test_planes_hold_the_bytes_of_packed_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(len(kind))
    monkeypatch.setattr(pictures, "PLANES_ARE_EQUAL", False)
    frames = [drawn(kind, height, width, rng) for height, width in SIZES]
    cases = [*itertools.product(frames, FITS, (1, 6))]
    packed = [fit_frame(frame, fit, orientation=turn).tobytes() for frame, fit, turn in cases]
    monkeypatch.setattr(pictures, "PLANES_ARE_EQUAL", True)
    for (frame, fit, turn), wanted in zip(cases, packed, strict=True):
        found = fit_frame(frame, fit, orientation=turn)
        assert found.shape == (fit.height, fit.width, 3)
        assert found.tobytes() == wanted, (frame, fit, turn)


def test_a_picture_that_is_scaled_down_lies_in_memory_plane_by_plane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "PLANES_ARE_EQUAL", True)
    frame = drawn("yuvj420p", 64, 64, np.random.default_rng(0))
    fitted = [fit_frame(frame, Fit(16, 16, "stretch")) for _ in range(3)]
    assert np.stack(fitted).transpose(0, 3, 1, 2).flags.c_contiguous  # the batch of an engine
