"""Reads the segments of a JPEG."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.encoded import (
    MAX_SEGMENTS,
    Encoded,
    broken,
    exif_orientation,
    too_many,
)

MAX_SCANS = 100  # each covers the whole picture: a small file could occupy a thread for minutes
LOOKED_AT = 100  # segments of a JPEG before its frame header, when only the size is asked for

# FF and a code; not a stuffed FF00, a fill byte or a restart FFD0-7, which are part of the data
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_PROGRESSIVE = 0xC2
_FRAME_HEADERS = {0xC0, 0xC1, _PROGRESSIVE}  # baseline, extended, progressive
_OTHER_HEADERS = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_DHT, _SOI, _EOI, _SOS, _DQT, _DRI = 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE  # APP0, APP1, APP14; Adobe's distinguishes CMYK and RGB
_MAKES_PIXELS = {*_FRAME_HEADERS, _DHT, _SOS, _DQT, _DRI, _JFIF, _ADOBE}


def walk_jpeg(content: bytes) -> Encoded:
    """Parse up to the first EOI. Raises `UndecodableFrameError`.

    Huffman tables may be missing, as in the pictures of webcams: then the standard
    ones apply.
    """
    parts = [content[:2]]
    width = height = 0
    orientation = 1
    components, scanned = b"", set[int]()
    tables, progressive, scans = False, False, 0
    for marker, start, end in _segments(content):
        body = content[start + 4 : end]
        if marker in _OTHER_HEADERS or (marker in _FRAME_HEADERS and components):
            raise broken("JPEG", content, f"has a frame header FF{marker:02X} that is not decoded")
        if marker in _FRAME_HEADERS and len(body) > 6:
            width, height = _size(body)
            progressive = marker == _PROGRESSIVE
            components = body[6 : 6 + 3 * body[5] : 3]
            _refuse_repeated(content, components)
        elif marker == _SOS and body:
            named = body[1 : 1 + 2 * body[0] : 2]
            _refuse_repeated(content, named)
            if not progressive and not scanned.isdisjoint(named):
                raise broken("JPEG", content, "is not progressive, but scans a component twice")
            scanned.update(named)
            scans += 1
        elif marker == _EXIF and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        tables = tables or marker == _DQT
        if marker in _MAKES_PIXELS:
            parts.append(content[start:end])
    if scans > MAX_SCANS:
        raise broken("JPEG", content, f"has {scans} scans; at most {MAX_SCANS} are decoded")
    if not tables or not components or scanned != set(components):
        raise broken("JPEG", content, "lacks its frame header, quantisation table or a scan")
    whole = b"".join([*parts, b"\xff\xd9"])
    return Encoded("mjpeg", width, height, orientation, whole, scans)


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return the size in the first frame header; None if it is not among the first segments."""
    with suppress(UndecodableFrameError):
        for marker, start, end in islice(_segments(content), LOOKED_AT):
            body = content[start + 4 : min(end, start + 13)]
            if marker in _FRAME_HEADERS and len(body) > 6:
                return _size(body)
    return None


def _refuse_repeated(content: bytes, components: bytes) -> None:
    """Refuse two components of one number: libav would decode one of them, and leave one black."""
    if len(set(components)) != len(components):
        raise broken("JPEG", content, f"has two components of one number: {list(components)}")


def _size(body: bytes) -> tuple[int, int]:
    """Return the size in the body of a frame header."""
    return int.from_bytes(body[3:5]), int.from_bytes(body[1:3])


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before EOI; entropy data belong to their SOS."""
    found = _MARKER.search(content, 2)
    for _ in range(MAX_SEGMENTS):
        if found is None:
            raise broken("JPEG", content, "is cut short: no end marker (EOI)")
        marker, start = found[1][0], found.start()
        if marker == _EOI:
            return
        if marker < min(_FRAME_HEADERS) or marker == _SOI:
            raise broken("JPEG", content, f"has a marker FF{marker:02X} at byte {start}")
        end = start + 2 + max(2, int.from_bytes(content[start + 2 : start + 4]))
        found = _MARKER.search(content, end)
        yield marker, start, found.start() if marker == _SOS and found is not None else end
    raise too_many("JPEG", content)
