"""Lossless WebP by libwebp, which Pillow brings: the one kind of picture that libav is not asked
for.

Where damaged data end too soon, or point where nothing is, libav's decoder shows what it finds in
memory: the same bytes give other pixels in another process, and a replay other predictions.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UndecodableFrameError


def decode_lossless_webp(content: bytes) -> NDArray[np.uint8]:
    """Decode to (H, W, 3) RGB, alpha dropped. Raises `UndecodableFrameError`."""
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as exc:
        raise UndecodableFrameError(f"WebP of {len(content)} bytes does not decode: {exc}") from exc
