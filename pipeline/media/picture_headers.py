"""Reads the segments of a JPEG, PNG or WebP without decoding, and keeps those that make pixels.

Size, orientation (EXIF) and completeness are known before libav gets a byte. libav gets only the
segments that make pixels, so that broken or exploding metadata (zTXt, ICC, EXIF) can do no harm.
Pictures that would take too long to decode are refused here as well.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pipeline.errors import UndecodableFrameError

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
MAX_SEGMENTS = 10_000  # in segments of 8 KB, as libpng writes them: more than a record can hold
MAX_SCANS = 100  # each covers the whole picture: a small file could occupy a thread for minutes
UNASKED_BYTES = 512 * 1024
"""A PNG with more packed data than this is unpacked once, and discarded, to measure how much it
holds: libav unpacks all data, also those behind the last row. 8 MB can hold 8,000 MB: 13 s."""
PIECE_BYTES = 4 * 1024  # of packed data; unpacked it is 4 MB at most

LOOKED_AT = 100  # segments of a JPEG before its frame header, when only the size is asked for

RGB_BYTES = 3  # of a pixel

NAMES = {"mjpeg": "JPEG", "png": "PNG", "webp": "WebP", "lossless": "WebP"}


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


def walk(content: bytes) -> Encoded:
    """Detect the format by the first bytes, and parse it. Raises `UndecodableFrameError`."""
    if content[:3] == b"\xff\xd8\xff":
        return _walk_jpeg(content)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return _walk_png(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _walk_webp(content)
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
        with suppress(UndecodableFrameError):
            for marker, start, end in islice(_jpeg_segments(content), LOOKED_AT):
                body = content[start + 4 : min(end, start + 13)]
                if marker in _FRAME_HEADERS and len(body) > 6:
                    return _jpeg_size(body)
            return None
    elif content[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_size(content)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = content[12:16]
        return _webp_size(kind, content[20:30]) if kind in _WEBP_SIZED else None
    return 0, 0


def refuse_bomb(picture: Encoded) -> None:
    """Refuse a PNG whose data unpack to more than its rows. The caller has checked its size.

    An interlaced PNG has up to twice as many rows, each with up to two bytes besides its pixels.
    """
    content = picture.content
    if picture.codec != "png" or len(content) <= UNASKED_BYTES:
        return
    chunks = [content[a + 8 : b - 4] for kind, a, b in _png_chunks(content) if kind == b"IDAT"]
    packed = b"".join(chunks)
    pixel_bits = min(64, content[24] * {0: 1, 2: 3, 3: 1, 4: 2}.get(content[25], 4))
    rest = picture.height * (picture.width * pixel_bits // 8 + 5) + UNASKED_BYTES
    unpacker = zlib.decompressobj()
    for at in range(0, len(packed), PIECE_BYTES):
        try:
            rest -= len(unpacker.decompress(packed[at : at + PIECE_BYTES]))
        except zlib.error as exc:
            raise _broken("PNG", content, f"is damaged: {exc}") from exc
        if rest < 0:
            raise _broken("PNG", content, "unpacks to more than its rows")


# FF and a code; not a stuffed FF00, a fill byte or a restart FFD0-7, which are part of the data
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_PROGRESSIVE = 0xC2
_FRAME_HEADERS = {0xC0, 0xC1, _PROGRESSIVE}  # baseline, extended, progressive
_OTHER_HEADERS = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_DHT, _SOI, _EOI, _SOS, _DQT, _DRI = 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE  # APP0, APP1, APP14; Adobe's distinguishes CMYK and RGB
_MAKES_PIXELS = {*_FRAME_HEADERS, _DHT, _SOS, _DQT, _DRI, _JFIF, _ADOBE}


def _walk_jpeg(content: bytes) -> Encoded:
    """Parse up to the first EOI. Huffman tables may be missing: then the standard ones apply.

    Webcams leave them out.
    """
    parts = [content[:2]]
    width = height = 0
    orientation = 1
    components, scanned = b"", set[int]()
    tables, progressive, scans = False, False, 0
    for marker, start, end in _jpeg_segments(content):
        body = content[start + 4 : end]
        if marker in _OTHER_HEADERS or (marker in _FRAME_HEADERS and components):
            raise _broken("JPEG", content, f"has a frame header FF{marker:02X} that is not decoded")
        if marker in _FRAME_HEADERS and len(body) > 6:
            width, height = _jpeg_size(body)
            progressive = marker == _PROGRESSIVE
            components = body[6 : 6 + 3 * body[5] : 3]
        elif marker == _SOS and body:
            named = body[1 : 1 + 2 * body[0] : 2]
            if not progressive and not scanned.isdisjoint(named):
                raise _broken("JPEG", content, "is not progressive, but scans a component twice")
            scanned.update(named)
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
    whole = b"".join([*parts, b"\xff\xd9"])
    return Encoded("mjpeg", width, height, orientation, whole, scans)


def _jpeg_size(body: bytes) -> tuple[int, int]:
    """Return the size in the body of a frame header."""
    return int.from_bytes(body[3:5]), int.from_bytes(body[1:3])


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before EOI; entropy data belong to their SOS."""
    found = _MARKER.search(content, 2)
    for _ in range(MAX_SEGMENTS):
        if found is None:
            raise _broken("JPEG", content, "is cut short: no end marker (EOI)")
        marker, start = found[1][0], found.start()
        if marker == _EOI:
            return
        if marker < min(_FRAME_HEADERS) or marker == _SOI:
            raise _broken("JPEG", content, f"has a marker FF{marker:02X} at byte {start}")
        end = start + 2 + max(2, int.from_bytes(content[start + 2 : start + 4]))
        found = _MARKER.search(content, end)
        yield marker, start, found.start() if marker == _SOS and found is not None else end
    raise _too_many("JPEG", content)


def _walk_png(content: bytes) -> Encoded:
    parts = [content[:8]]
    orientation = 1
    for kind, start, end in _png_chunks(content):
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            parts.append(content[start:end])
        elif kind == b"eXIf":
            orientation = _exif_orientation(content[start + 8 : end - 4])
    if content[12:16] != b"IHDR":
        raise _broken("PNG", content, "does not begin with its IHDR chunk")
    return Encoded("png", *_png_size(content), orientation, b"".join(parts))


def _png_size(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk, up to and including IEND."""
    end = 8
    for _ in range(MAX_SEGMENTS):
        start = end
        kind = content[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(content[start : start + 4])
        if end > len(content) or len(kind) < 4:
            raise _broken("PNG", content, "is cut short: no IEND chunk")
        yield kind, start, end
        if kind == b"IEND":
            return
    raise _too_many("PNG", content)


_WEBP_SIZED = {b"VP8X", b"VP8 ", b"VP8L"}


def _walk_webp(content: bytes) -> Encoded:
    orientation, sizes, parts = 1, list[tuple[int, int]](), list[bytes]()
    codec: Literal["webp", "lossless"] = "webp"
    for kind, start, end in _webp_chunks(content):
        body = content[start + 8 : end]
        if kind in (b"ANIM", b"ANMF"):
            raise _broken("WebP", content, "is animated: a film, not a picture")
        if kind in _WEBP_SIZED:
            sizes.append(_webp_size(kind, body))
            codec = "lossless" if kind == b"VP8L" else codec
        if kind in (b"VP8X", b"ALPH", b"VP8 ", b"VP8L"):
            parts.append(content[start:end] + b"\0" * (end & 1))
        elif kind == b"EXIF":
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
    if len(set(sizes)) != 1 or len(sizes) > 2:
        raise _broken("WebP", content, f"is damaged: it holds pictures of sizes {sizes[:4]}")
    chunks = b"WEBP" + b"".join(parts)
    riff = b"RIFF" + len(chunks).to_bytes(4, "little") + chunks
    return Encoded(codec, *sizes[0], orientation, riff)


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk, up to the size in the RIFF header."""
    stop = 8 + int.from_bytes(content[4:8], "little")
    if stop > len(content):
        raise _broken("WebP", content, f"is cut short: its RIFF header says {stop}")
    start = 12
    for _ in range(MAX_SEGMENTS):
        if start + 8 > stop:
            return
        kind = content[start : start + 4]
        end = start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")
        if end > stop:
            raise _broken("WebP", content, f"is damaged: its chunk {kind!r} has no end")
        yield kind, start, end
        start = end + (end & 1)
    raise _too_many("WebP", content)


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF


def _exif_orientation(tiff: bytes) -> int:
    """Return the orientation, 1-8; 1 for EXIF without one or broken EXIF, as every viewer does."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[first : first + 2], order)
    for at in range(first + 2, min(first + 2 + 12 * count, len(tiff) - 11), 12):
        if int.from_bytes(tiff[at : at + 2], order) == 0x0112:
            value = int.from_bytes(tiff[at + 8 : at + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def _broken(kind: str, content: bytes, why: str) -> UndecodableFrameError:
    return UndecodableFrameError(f"{kind} of {len(content)} bytes {why}")


def _too_many(kind: str, content: bytes) -> UndecodableFrameError:
    return _broken(kind, content, f"has more than {MAX_SEGMENTS} segments")
