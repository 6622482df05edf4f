"""One encoded picture in, RGB of the model's size out. With `sources` and
`overlay.reel` the only home of `av`.

What makes the pixels of a JPEG, PNG or WebP is found here by walking its segments, before libav
sees a byte: size, turn (EXIF) and completeness are known without decoding, and only the parts that
make pixels are handed on, so that broken or exploding metadata (zTXt, ICC, EXIF) can do no harm.

libav hides damage behind grey if it is let. What finds damage, and what cannot:
- a picture that is cut anywhere lacks its end (JPEG EOI, PNG IEND, RIFF size): the walk finds it;
- lost or wrong JPEG data: libav's `explode` finds it where codes become invalid or run out;
- any damage in a PNG: CRC and Adler sums;
- a JPEG or WebP whose damaged data are themselves valid codes decodes to a wrong picture of the
  right size: neither format has a checksum. Any lossy WebP data are valid codes, and most single
  bits of a JPEG can flip; about the last 60 bytes of its data can be missing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from pipeline.errors import UndecodableFrameError

MAX_PIXELS = 64 * 1024 * 1024
MAX_SCANS = 100  # each goes over the whole picture: a small file could keep a thread for minutes

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


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A picture that is whole as far as its container tells, reduced to what makes its pixels."""

    codec: Literal["mjpeg", "png", "webp"]
    width: int
    height: int
    orientation: int
    content: bytes


def decode_picture(content: bytes, fit: Fit, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP, known by its first bytes, to upright (H, W, 3) RGB.

    CMYK, grey, palette and 16 bits become 8-bit RGB; alpha is dropped, the colours stay as stored;
    an APNG gives its still picture. Raises nothing but `UndecodableFrameError`: an animated WebP
    and more than `max_pixels` are refused too. Safe from any thread, because nothing is kept from
    call to call: a decoder that lives on would lend one camera's tables to the next.
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
    picture = _walk(content)
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
    picture = _walk(content)
    kind = _NAMES[picture.codec]
    size = f"{picture.width} x {picture.height}"
    if picture.width * picture.height == 0:
        raise UndecodableFrameError(f"{kind} of {len(content)} bytes has no pixels: {size}")
    if picture.width * picture.height > max_pixels:
        raise UndecodableFrameError(
            f"{kind} of {len(content)} bytes is {size} pixels; at most {max_pixels} are decoded"
        )
    decoder = av.CodecContext.create(picture.codec, "r")
    decoder.thread_count = 1
    decoder.options = {"err_detect": "crccheck+bitstream+buffer+careful+explode"}
    try:
        frames = [*decoder.decode(av.Packet(picture.content)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError, MemoryError) as exc:
        raise UndecodableFrameError(
            f"{kind} of {len(content)} bytes ({size}) does not decode: {exc}"
        ) from exc
    if len(frames) != 1 or frames[0].is_corrupt:
        raise UndecodableFrameError(f"{kind} of {len(content)} bytes ({size}) is damaged")
    if (frames[0].width, frames[0].height) != (picture.width, picture.height):
        raise UndecodableFrameError(f"{kind} of {len(content)} bytes contradicts its size {size}")
    return frames[0], picture.orientation


_NAMES = {"mjpeg": "JPEG", "png": "PNG", "webp": "WebP"}


def _walk(content: bytes) -> _Encoded:
    if content[:3] == b"\xff\xd8\xff":
        return _walk_jpeg(content)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return _walk_png(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _walk_webp(content)
    raise UndecodableFrameError(f"{len(content)} bytes are no JPEG, PNG or WebP")


# FF and a code; but not a stuffed FF00, a fill byte or a restart FFD0-7, which belong to the data
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_FRAME_HEADERS = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
_OTHER_HEADERS = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_DHT, _SOI, _EOI, _SOS, _DQT, _DRI = 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE  # APP0, APP1, APP14; Adobe's tells CMYK and RGB
_MAKES_PIXELS = {*_FRAME_HEADERS, _DHT, _SOS, _DQT, _DRI, _JFIF, _ADOBE}


def _walk_jpeg(content: bytes) -> _Encoded:
    """Up to the first EOI. Huffman tables may be missing: a webcam means the standard ones then."""
    parts = [content[:2]]
    width = height = 0
    orientation = 1
    components, scanned = b"", set[int]()
    tables, scans = False, 0
    for marker, start, end in _jpeg_segments(content):
        body = content[start + 4 : end]
        if marker in _OTHER_HEADERS or (marker in _FRAME_HEADERS and components):
            raise _broken("JPEG", content, f"has a frame header FF{marker:02X} that is not decoded")
        if marker in _FRAME_HEADERS and len(body) > 6:
            height, width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
            components = body[6 : 6 + 3 * body[5] : 3]
        elif marker == _SOS and body:
            scanned.update(body[1 : 1 + 2 * body[0] : 2])
            scans += 1
        elif marker == _EXIF and body.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(body[6:])
        tables = tables or marker == _DQT
        if marker in _MAKES_PIXELS:
            parts.append(content[start:end])
    if scans > MAX_SCANS:
        raise _broken("JPEG", content, f"has {scans} scans; at most {MAX_SCANS} are decoded")
    if not tables or not components or scanned != set(components):
        raise _broken("JPEG", content, "lacks its frame header, quantisation table or a scan")
    return _Encoded("mjpeg", width, height, orientation, b"".join([*parts, b"\xff\xd9"]))


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before EOI; entropy data belong to their SOS."""
    found = _MARKER.search(content, 2)
    while found is not None and found[1][0] != _EOI:
        marker, start = found[1][0], found.start()
        if marker < min(_FRAME_HEADERS) or marker == _SOI:
            raise _broken("JPEG", content, f"has a marker FF{marker:02X} at byte {start}")
        end = start + 2 + max(2, int.from_bytes(content[start + 2 : start + 4]))
        found = _MARKER.search(content, end)
        yield marker, start, found.start() if marker == _SOS and found is not None else end
    if found is None:
        raise _broken("JPEG", content, "is cut short: no end marker (EOI)")


def _walk_png(content: bytes) -> _Encoded:
    parts, at = [content[:8]], 8
    orientation = 1
    kind = b""
    while kind != b"IEND":
        kind = content[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if end > len(content) or len(kind) < 4:
            raise _broken("PNG", content, "is cut short: no IEND chunk")
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            parts.append(content[at:end])
        elif kind == b"eXIf":
            orientation = _exif_orientation(content[at + 8 : end - 4])
        at = end
    if content[12:16] != b"IHDR":
        raise _broken("PNG", content, "does not begin with its IHDR chunk")
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    return _Encoded("png", width, height, orientation, b"".join(parts))


def _walk_webp(content: bytes) -> _Encoded:
    stop = 8 + int.from_bytes(content[4:8], "little")
    if stop > len(content):
        raise _broken("WebP", content, f"is cut short: its RIFF header says {stop}")
    at, orientation, sizes, parts = 12, 1, list[tuple[int, int]](), list[bytes]()
    while at + 8 <= stop:
        kind = content[at : at + 4]
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        body = content[at + 8 : end]
        if end > stop:
            raise _broken("WebP", content, f"is damaged: its chunk {kind!r} has no end")
        if kind in (b"ANIM", b"ANMF"):
            raise _broken("WebP", content, "is animated: a film, not a picture")
        if kind in (b"VP8X", b"VP8 ", b"VP8L"):
            sizes.append(_webp_size(kind, body))
        if kind in (b"VP8X", b"ALPH", b"VP8 ", b"VP8L"):
            parts.append(content[at:end] + b"\0" * (end & 1))
        elif kind == b"EXIF":
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
        at = end + (end & 1)
    if len(set(sizes)) != 1 or len(sizes) > 2:
        raise _broken("WebP", content, f"is damaged: it holds pictures of sizes {sizes}")
    chunks = b"WEBP" + b"".join(parts)
    riff = b"RIFF" + len(chunks).to_bytes(4, "little") + chunks
    return _Encoded("webp", *sizes[0], orientation, riff)


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF


def _exif_orientation(tiff: bytes) -> int:
    """1-8; 1 too for EXIF that says nothing or is broken, as every viewer has it."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[first : first + 2], order)
    for at in range(first + 2, min(first + 2 + 12 * count, len(tiff) - 11), 12):
        if int.from_bytes(tiff[at : at + 2], order) == 0x0112:
            value = int.from_bytes(tiff[at + 8 : at + 10], order)
            return value if value in _TURNS else 1
    return 1


def _broken(kind: str, content: bytes, why: str) -> UndecodableFrameError:
    return UndecodableFrameError(f"{kind} of {len(content)} bytes {why}")
