"""Decodes one encoded picture, and fits it to the model's input size as RGB.

`picture_headers` parses a picture before libav gets a byte of it. By default libav fills damaged
parts with grey and reports no error. Which damage is detected, and which is not:
- a picture that is cut anywhere lacks its end (JPEG EOI, PNG IEND, RIFF size): `walk` detects it;
- lost or wrong JPEG data: libav's `explode` detects it if codes become invalid or run out;
- any damage in a PNG: CRC and Adler checksums detect it;
- a JPEG or WebP whose damaged data are valid codes again decodes to a wrong picture of the right
  size, without an error: neither format has a checksum. Any lossy WebP data are valid codes, and
  most single bits of a JPEG can flip; about the last 60 bytes of its data can be missing.
"""

import platform
from dataclasses import dataclass
from typing import Literal

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.encoded import Encoded
from pipeline.media.headers.picture_headers import (
    FRAME_PIXELS,
    MAX_PIXELS,
    NAMES,
    SCANS_OF_LARGEST,
    affordable_pixels,
    walk,
)
from pipeline.media.headers.png import refuse_bomb
from pipeline.media.lossless import decode_lossless_webp
from pipeline.media.showing.interlaced import progressive

ALIGNMENT = 64  # libav rounds the width of its buffers up to a multiple of this, at most
EARLY_BYTES = 1 << 16
MOST_COVER = 16
"""With `crop`, the scaled picture that covers the model's input may be this many times as large. A
picture of one row would otherwise be scaled up to a hundred megabytes."""

# AREA averages if a side shrinks and is bilinear if it grows. The next two flags give the same
# bytes on every CPU; the last two keep the chroma at full width until it is converted to RGB.
SCALING = (
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
)

PLANES_ARE_EQUAL = platform.machine() in ("x86_64", "AMD64")  # elsewhere nobody has compared them

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
    """The model's input size, and how pictures of another shape are fitted to it."""

    height: int
    width: int
    fit: Literal["stretch", "letterbox", "crop"]


def decode_picture(
    content: bytes, fit: Fit, *, max_pixels: int = FRAME_PIXELS
) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP, detected by its first bytes, to upright (H, W, 3) RGB.

    CMYK, grey, palette and 16 bits become 8-bit RGB. Alpha is dropped, the colours stay as stored.
    An APNG gives its still picture. Raises nothing but `UndecodableFrameError`, also for an
    animated WebP, more than `max_pixels` by the header, and pictures that would take too long (the
    limits of `picture_headers`). Safe from any thread, because no state is kept between calls: a
    decoder that is reused would apply one camera's tables to the pictures of the next.
    """
    frame, orientation = _decode(content, max_pixels)
    return fit_frame(frame, fit, orientation=orientation)


def decode_upright(content: bytes, *, max_pixels: int = MAX_PIXELS) -> av.VideoFrame:
    """Decode like `decode_picture`, but to a frame of the picture's own size.

    Files and cameras may have the largest pictures; only records have a stricter limit.
    """
    return upright(*_decode(content, max_pixels))


def picture_size(content: bytes) -> tuple[int, int]:
    """Return a picture's width and height as stored, without decoding it.

    Raises `UndecodableFrameError` if the bytes are not a picture, or not a complete one.
    """
    picture = walk(content)
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        raise UndecodableFrameError(f"a picture of {picture.width} x {picture.height} pixels")
    return picture.width, picture.height


def fit_frame(frame: av.VideoFrame, fit: Fit, *, orientation: int = 1) -> NDArray[np.uint8]:
    """Convert a frame to (H, W, 3) RGB of the wanted size; `orientation` is the EXIF orientation.

    The inner size of `letterbox` and the covering size of `crop` are rounded half up, and at least
    one pixel. If the rest is odd, the bar or the cut below and to the right is one pixel wider.
    Range and colour space are those that the frame declares; YUV without them is taken as BT.601,
    limited range.
    """
    swap = _TURNS[orientation][0]
    width, height = (frame.height, frame.width) if swap else (frame.width, frame.height)
    rows, columns = _scaled_size(height, width, fit)
    if rows * columns > MOST_COVER * fit.height * fit.width:
        raise UndecodableFrameError(
            f"a picture of {width} x {height} is too narrow to be cropped:"
            f" scaled to cover the model's input it would be {columns} x {rows}"
        )
    scaled = _scale(frame, columns, rows) if not swap else _scale(frame, rows, columns)
    pixels = _turn(scaled, orientation)  # (rows, columns, 3)
    top, left = _corner(rows, columns, fit)
    if fit.fit == "letterbox":
        boxed = np.zeros((fit.height, fit.width, 3), np.uint8)
        boxed[top : top + rows, left : left + columns] = pixels
        return boxed
    return pixels[-top : fit.height - top, -left : fit.width - left].copy(order="K")


def fit_points(points: Points, height: int, width: int, fit: Fit) -> Points:
    """Map points (N, 2) of an upright picture to the output of `fit_frame`: x, y in pixels."""
    scale, corner = _placement(height, width, fit)
    return points * scale + corner


def unfit_points(points: Points, height: int, width: int, fit: Fit) -> Points:
    """Map points (N, 2) of a fitted picture back to the upright one: x, y in pixels."""
    scale, corner = _placement(height, width, fit)
    return (points - corner) / scale


def upright(frame: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """Turn a frame upright by its EXIF orientation; an upright frame is returned unchanged."""
    if orientation == 1:
        return frame
    turned = np.ascontiguousarray(_turn(_scale(frame, frame.width, frame.height), orientation))
    result = av.VideoFrame.from_ndarray(turned, format="rgb24")
    result.pts = frame.pts
    if frame.time_base is not None:
        result.time_base = frame.time_base
    return result


def rgb_pixels(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Convert a frame to RGB (H, W, 3) of its own size, in an array of its own."""
    return np.array(_scale(frame, frame.width, frame.height), order="C")


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
    """Return the place of the scaled picture's first row and column; negative if they are cut."""
    if fit.fit == "letterbox":
        return (fit.height - rows) // 2, (fit.width - columns) // 2
    return -((rows - fit.height) // 2), -((columns - fit.width) // 2)


def _placement(height: int, width: int, fit: Fit) -> tuple[Points, Points]:
    rows, columns = _scaled_size(height, width, fit)
    top, left = _corner(rows, columns, fit)
    return np.array([columns / width, rows / height]), np.array([left, top], np.float64)


def _scale(frame: av.VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    """Scale and convert to RGB (H, W, 3), which lies in memory plane by plane where that is faster.

    libswscale has vector code for planes only. Their bytes are those of packed pixels where rows
    become at most half as many; else it rounds packed ones in another way.
    """
    planar = PLANES_ARE_EQUAL and frame.height >= 2 * height
    try:
        rgb = frame.reformat(
            width, height, "gbrp" if planar else "rgb24", interpolation=SCALING, threads=1
        )
        lines = [
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height]
            for plane in rgb.planes
        ]
    except (av.FFmpegError, ValueError, MemoryError) as exc:
        raise UndecodableFrameError(
            f"a picture of {frame.width} x {frame.height} {frame.format.name}"
            f" cannot be scaled to {width} x {height}: {exc}"
        ) from exc
    if not planar:  # libav pads lines at their end
        return lines[0][:, : width * 3].reshape(height, width, 3)
    return np.stack([lines[n][:, :width] for n in (2, 0, 1)]).transpose(1, 2, 0)


def _decode(content: bytes, max_pixels: int) -> tuple[av.VideoFrame, int]:
    picture, shown = _checked(content, max_pixels)
    refuse_bomb(picture)
    return decode_encoded(picture, shown), picture.orientation


def refused_early(content: bytes, *, max_pixels: int) -> UndecodableFrameError | None:
    """Return why a small record cannot be decoded, as `decode_picture` would say it; or None.

    It parses at most EARLY_BYTES and decodes nothing, so that a flood of bytes that are no picture
    costs little.
    """
    if len(content) > EARLY_BYTES:
        return None
    try:
        _checked(content, max_pixels)
    except UndecodableFrameError as exc:
        return exc
    return None


def _checked(content: bytes, max_pixels: int) -> tuple[Encoded, str]:
    """Parse a picture and check its size; returns it with its description."""
    picture = walk(content)
    shown = f"{NAMES[picture.codec]} of {len(content)} bytes"
    size, pixels = f"{picture.width} x {picture.height}", picture.width * picture.height
    if pixels == 0:
        raise UndecodableFrameError(f"{shown} has no pixels: {size}")
    if pixels > max_pixels:
        raise UndecodableFrameError(
            f"{shown} is {size} pixels; at most {max_pixels} are decoded (max_frame_pixels)"
        )
    if pixels > affordable_pixels(content):
        raise UndecodableFrameError(
            f"{shown} is {size} pixels; at most {affordable_pixels(content)} are decoded of so few"
            " bytes"
        )
    if pixels * picture.scans > SCANS_OF_LARGEST * max_pixels:
        raise UndecodableFrameError(
            f"{shown} goes over its {size} pixels in {picture.scans} scans; at most"
            f" {SCANS_OF_LARGEST * max_pixels} pixels are gone over"
        )
    return picture, f"{shown} ({size})"


def decode_encoded(picture: Encoded, shown: str) -> av.VideoFrame:
    """Decode a picture to the size that its header gives, and not a pixel more.

    `shown` names it in errors. Raises `UndecodableFrameError`. libav has the size as a limit of its
    own, so a second header that only libav sees makes it fail before it takes memory.
    """
    if picture.codec == "lossless":
        pixels = decode_lossless_webp(picture.content)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    else:
        frame = _decode_by_libav(picture, picture.codec, shown)
    if (frame.width, frame.height) != (picture.width, picture.height):
        raise UndecodableFrameError(f"{shown} contradicts its size")
    return frame


def _decode_by_libav(
    picture: Encoded, codec: Literal["mjpeg", "png", "webp"], shown: str
) -> av.VideoFrame:
    decoder = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    decoder.options = {
        "err_detect": "crccheck+bitstream+buffer+careful+explode",
        "max_pixels": str((picture.width + ALIGNMENT) * picture.height),
    }
    try:
        frames = [*decoder.decode(av.Packet(picture.content)), *decoder.decode(None)]
        frames = [progressive(frame) for frame in frames]
    except (av.FFmpegError, ValueError, MemoryError) as exc:
        raise UndecodableFrameError(f"{shown} does not decode: {exc}") from exc
    if len(frames) != 1 or frames[0].is_corrupt:
        raise UndecodableFrameError(f"{shown} is damaged")
    return frames[0]
