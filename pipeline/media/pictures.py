"""One encoded picture in, RGB of the model's size out. With `sources` and
`overlay.reel` the only home of `av`.

`encoded` has walked a picture before libav sees a byte of it. libav hides damage behind grey if it
is let. What finds damage, and what cannot:
- a picture that is cut anywhere lacks its end (JPEG EOI, PNG IEND, RIFF size): the walk finds it;
- lost or wrong JPEG data: libav's `explode` finds it where codes become invalid or run out;
- any damage in a PNG: CRC and Adler sums;
- a JPEG or WebP whose damaged data are themselves valid codes decodes to a wrong picture of the
  right size: neither format has a checksum. Any lossy WebP data are valid codes, and most single
  bits of a JPEG can flip; about the last 60 bytes of its data can be missing.
"""

from dataclasses import dataclass
from typing import Literal

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from pipeline.errors import UndecodableFrameError
from pipeline.media.lossless import decode_lossless_webp
from pipeline.media.picture_headers import NAMES, Encoded, refuse_bomb, walk

MAX_PIXELS = 32 * 1024 * 1024
"""8K video fits (7680 x 4320). What decodes holds up to 16 bytes a pixel, half a gigabyte, and 24
if it is a lossless WebP. A picture of this size takes a core for up to a second."""
MAX_SCANNED_PIXELS = 16 * MAX_PIXELS
"""Over all scans of a progressive JPEG: the largest picture may have 16, cameras write about ten.
Scans that cost nothing to write would keep a core busy for ten times as long."""

# AREA averages where a side shrinks and is bilinear where it grows. The next two ask for the same
# bytes on every CPU, the last two keep the colour at full width until it is RGB.
SCALING = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
)

Points = NDArray[np.floating]  # (N, 2)

# EXIF orientation -> swap rows and columns, then flip rows, then flip columns
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """What the model wants to see: its size, and how another shape is brought there."""

    height: int
    width: int
    fit: Literal["stretch", "letterbox", "crop"]


def decode_picture(content: bytes, fit: Fit, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP, known by its first bytes, to upright (H, W, 3) RGB.

    CMYK, grey, palette and 16 bits become 8-bit RGB; alpha is dropped, the colours stay as stored;
    an APNG gives its still picture. Raises nothing but `UndecodableFrameError`: an animated WebP,
    more than `max_pixels` and what would take too long (`MAX_SCANNED_PIXELS`, `encoded`'s limits)
    are refused too. Safe from any thread, because nothing is kept from call to call: a decoder that
    lives on would lend one camera's tables to the next.
    """
    frame, orientation = _decode(content, max_pixels)
    return fit_frame(frame, fit, orientation=orientation)


def decode_upright(content: bytes, *, max_pixels: int = MAX_PIXELS) -> av.VideoFrame:
    """Decode like `decode_picture`, but to a frame of the picture's own size."""
    return upright(*_decode(content, max_pixels))


def picture_size(content: bytes) -> tuple[int, int]:
    """Tell a picture's width and height as stored, without decoding it.

    Raises `UndecodableFrameError` where the walk finds that it is no picture, or is not whole.
    """
    picture = walk(content)
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        raise UndecodableFrameError(f"a picture of {picture.width} x {picture.height} pixels")
    return picture.width, picture.height


def fit_frame(frame: av.VideoFrame, fit: Fit, *, orientation: int = 1) -> NDArray[np.uint8]:
    """Bring a frame to (H, W, 3) RGB; `orientation` is the EXIF number of how it is to be turned.

    The inner size of `letterbox` and the covering size of `crop` are rounded half up, and at least
    one pixel. An odd rest goes below and to the right: that bar, or that cut, is one pixel wider.
    Range and colour space are those that the frame names; YUV that names none is BT.601, limited.
    """
    swap = _TURNS[orientation][0]
    width, height = (frame.height, frame.width) if swap else (frame.width, frame.height)
    rows, columns = _scaled_size(height, width, fit)
    scaled = _scale(frame, columns, rows) if not swap else _scale(frame, rows, columns)
    pixels = _turn(scaled, orientation)  # (rows, columns, 3)
    top, left = _corner(rows, columns, fit)
    if fit.fit == "letterbox":
        boxed = np.zeros((fit.height, fit.width, 3), np.uint8)
        boxed[top : top + rows, left : left + columns] = pixels
        return boxed
    return pixels[-top : fit.height - top, -left : fit.width - left].copy()


def fit_points(points: Points, height: int, width: int, fit: Fit) -> Points:
    """Tell where points (N, 2) of an upright picture are after `fit_frame`: x, y in pixels."""
    scale, corner = _placement(height, width, fit)
    return points * scale + corner


def unfit_points(points: Points, height: int, width: int, fit: Fit) -> Points:
    """Tell where points (N, 2) of a fitted picture were in the upright one: x, y in pixels."""
    scale, corner = _placement(height, width, fit)
    return (points - corner) / scale


def upright(frame: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """Turn a frame; one that stands already is returned as it is."""
    if orientation == 1:
        return frame
    turned = np.ascontiguousarray(_turn(_scale(frame, frame.width, frame.height), orientation))
    result = av.VideoFrame.from_ndarray(turned, format="rgb24")
    result.pts = frame.pts
    if frame.time_base is not None:
        result.time_base = frame.time_base
    return result


def _turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    swap, flip_rows, flip_columns = _TURNS[orientation]
    turned = pixels.swapaxes(0, 1) if swap else pixels
    return turned[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _scaled_size(height: int, width: int, fit: Fit) -> tuple[int, int]:
    if fit.fit == "stretch":
        return fit.height, fit.width
    wider = width * fit.height > height * fit.width  # than the model's shape
    if wider == (fit.fit == "letterbox"):
        return max(1, (2 * height * fit.width + width) // (2 * width)), fit.width
    return fit.height, max(1, (2 * width * fit.height + height) // (2 * height))


def _corner(rows: int, columns: int, fit: Fit) -> tuple[int, int]:
    """Where the scaled picture's first row and column come to lie; below zero if they are cut."""
    if fit.fit == "letterbox":
        return (fit.height - rows) // 2, (fit.width - columns) // 2
    return -((rows - fit.height) // 2), -((columns - fit.width) // 2)


def _placement(height: int, width: int, fit: Fit) -> tuple[Points, Points]:
    rows, columns = _scaled_size(height, width, fit)
    top, left = _corner(rows, columns, fit)
    return np.array([columns / width, rows / height]), np.array([left, top], np.float64)


def _scale(frame: av.VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    """Scale and convert to RGB (H, W, 3): a view that lives as long as its frame."""
    if width * height > MAX_PIXELS:
        raise UndecodableFrameError(
            f"a picture of {frame.width} x {frame.height} is too narrow to be cropped:"
            f" scaled to cover the model's input it would be {width} x {height}"
        )
    try:
        rgb = frame.reformat(width, height, "rgb24", interpolation=SCALING, threads=1)
        plane = rgb.planes[0]
    except (av.FFmpegError, ValueError, MemoryError) as exc:
        raise UndecodableFrameError(
            f"a picture of {frame.width} x {frame.height} {frame.format.name}"
            f" cannot be scaled to {width} x {height}: {exc}"
        ) from exc
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[:height, : width * 3].reshape(height, width, 3)  # libav pads lines at their end


def _decode(content: bytes, max_pixels: int) -> tuple[av.VideoFrame, int]:
    picture = walk(content)
    kind = NAMES[picture.codec]
    size = f"{picture.width} x {picture.height}"
    if picture.width * picture.height == 0:
        raise UndecodableFrameError(f"{kind} of {len(content)} bytes has no pixels: {size}")
    if picture.width * picture.height > max_pixels:
        raise UndecodableFrameError(
            f"{kind} of {len(content)} bytes is {size} pixels; at most {max_pixels} are decoded"
        )
    if picture.width * picture.height * picture.scans > MAX_SCANNED_PIXELS:
        raise UndecodableFrameError(
            f"{kind} of {len(content)} bytes goes over its {size} pixels in {picture.scans} scans;"
            f" at most {MAX_SCANNED_PIXELS} pixels are gone over"
        )
    refuse_bomb(picture)
    told = f"{kind} of {len(content)} bytes ({size})"
    frame = _frame(picture, told)
    if (frame.width, frame.height) != (picture.width, picture.height):
        raise UndecodableFrameError(f"{told} contradicts its size")
    return frame, picture.orientation


def _frame(picture: Encoded, told: str) -> av.VideoFrame:
    if picture.codec == "lossless":
        return av.VideoFrame.from_ndarray(decode_lossless_webp(picture.content), format="rgb24")
    decoder = av.CodecContext.create(picture.codec, "r")
    decoder.thread_count = 1
    decoder.options = {"err_detect": "crccheck+bitstream+buffer+careful+explode"}
    try:
        frames = [*decoder.decode(av.Packet(picture.content)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError, MemoryError) as exc:
        raise UndecodableFrameError(f"{told} does not decode: {exc}") from exc
    if len(frames) != 1 or frames[0].is_corrupt:
        raise UndecodableFrameError(f"{told} is damaged")
    return frames[0]
