"""Decodes lossless WebP with libwebp, a part of Pillow. It is the only format without libav.

If damaged data end too early, or refer to data outside the picture, libav's decoder returns
uninitialised memory: the same bytes would give different pixels in another process, and a replay
different predictions.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UndecodableFrameError


def decode_lossless_webp(content: bytes) -> NDArray[np.uint8]:
    """Decode to read-only (H, W, 3) RGB, alpha dropped. Raises `UndecodableFrameError`."""
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
            rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
            return np.frombuffer(rgb.tobytes(), np.uint8).reshape(rgb.height, rgb.width, 3)
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as exc:
        raise UndecodableFrameError(f"WebP of {len(content)} bytes does not decode: {exc}") from exc
