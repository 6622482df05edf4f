"""A picture whose segments were read, and what the formats share: EXIF and the words of errors."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import UndecodableFrameError

MAX_SEGMENTS = 10_000  # in segments of 8 KB, as libpng writes them: more than a record can hold


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture that is complete by its container, reduced to the segments that make pixels.

    `orientation` is the EXIF orientation, 1-8. `scans` is the number of scans of its data, each
    of which covers the whole picture.
    """

    codec: Literal["mjpeg", "png", "webp", "lossless"]  # "lossless" is a WebP as well
    width: int
    height: int
    orientation: int
    content: bytes
    scans: int = 1


def exif_orientation(tiff: bytes) -> int:
    """Return the orientation, 1-8; 1 for EXIF without one or broken EXIF, as every viewer does."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[first : first + 2], order)
    for at in range(first + 2, min(first + 2 + 12 * count, len(tiff) - 11), 12):
        if int.from_bytes(tiff[at : at + 2], order) == 0x0112:
            value = int.from_bytes(tiff[at + 8 : at + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def broken(kind: str, content: bytes, why: str) -> UndecodableFrameError:
    """Make the error of a picture; `why` continues the sentence."""
    return UndecodableFrameError(f"{kind} of {len(content)} bytes {why}")


def too_many(kind: str, content: bytes) -> UndecodableFrameError:
    """Make the error of a picture with more than MAX_SEGMENTS."""
    return broken(kind, content, f"has more than {MAX_SEGMENTS} segments")
