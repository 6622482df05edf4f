"""Reads the segments of a JPEG, PNG or WebP without decoding, and keeps those that make pixels.

Size, orientation (EXIF) and completeness are known before libav gets a byte. libav gets only the
segments that make pixels, so that broken or exploding metadata (zTXt, ICC, EXIF) can do no harm.
Pictures that would take too long to decode are refused here as well.
"""

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.encoded import Encoded
from pipeline.media.headers.jpeg import jpeg_size, walk_jpeg
from pipeline.media.headers.png import png_size, walk_png
from pipeline.media.headers.webp import WEBP_SIZED, walk_webp, webp_size

FRAME_PIXELS = 4096 * 2176
"""The default of `max_frame_pixels`: 4K in both of its widths, 3840 and 4096."""
MAX_PIXELS = 32 * 1024 * 1024
"""The most that `max_frame_pixels` can be: 8K video fits (7680 x 4320). Decoding needs up to 16
bytes a pixel, a lossless WebP 24. A picture of this size occupies a core for up to a second."""
FREE_PIXELS = 1920 * 1088
PIXELS_OF_A_BYTE = 1024
"""A picture of more than FREE_PIXELS needs a byte for each PIXELS_OF_A_BYTE of the rest, so that
what it costs is proportional to what it takes to send it. A lossless WebP of one colour has 34
bytes at any size. A JPEG or a lossy WebP of one colour has a byte for less than 400 pixels, a grey
PNG one for 1030, and what a camera sees has many more."""
SCANS_OF_LARGEST = 16
"""Scans of the largest JPEG that is decoded; a smaller one may have more, up to MAX_SCANS, but all
scans together cover no more pixels. Cameras write about ten. Further scans can be written in a few
bytes, and would occupy a core for ten times as long."""
RGB_BYTES = 3  # of a pixel

NAMES = {"mjpeg": "JPEG", "png": "PNG", "webp": "WebP", "lossless": "WebP"}


def walk(content: bytes) -> Encoded:
    """Detect the format by the first bytes, and parse it. Raises `UndecodableFrameError`."""
    if content[:3] == b"\xff\xd8\xff":
        return walk_jpeg(content)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return walk_png(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return walk_webp(content)
    raise UndecodableFrameError(f"{len(content)} bytes are no JPEG, PNG or WebP")


def unpacked_bytes(content: bytes, *, max_pixels: int) -> int:
    """Return the bytes of RGB that decoding a record produces, from its first header alone.

    It takes some microseconds and never raises. Bytes that `decode_picture` refuses by their header
    give 0. If the size is not found at once, the result is that of the largest picture. Scans do
    not count: each costs a tenth of a decode at most.
    """
    size = _first_size(content)
    pixels = max_pixels if size is None else size[0] * size[1]
    return RGB_BYTES * pixels if pixels <= min(max_pixels, affordable_pixels(content)) else 0


def affordable_pixels(content: bytes) -> int:
    """Return the most pixels that a picture of so many bytes may have."""
    return FREE_PIXELS + PIXELS_OF_A_BYTE * len(content)


def _first_size(content: bytes) -> tuple[int, int] | None:
    """Return the size in the first header; 0, 0 of other bytes; None if it is not found."""
    if content[:3] == b"\xff\xd8\xff":
        return jpeg_size(content)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return png_size(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = content[12:16]
        return webp_size(kind, content[20:30]) if kind in WEBP_SIZED else None
    return 0, 0
