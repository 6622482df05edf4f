"""Reads the chunks of a PNG."""

import zlib
from collections.abc import Iterator

from pipeline.media.headers.encoded import (
    MAX_SEGMENTS,
    Encoded,
    broken,
    exif_orientation,
    too_many,
)

UNASKED_BYTES = 512 * 1024
"""A PNG with more packed data than this is unpacked once, and discarded, to measure how much it
holds: libav unpacks all data, also those behind the last row. 8 MB can hold 8,000 MB: 13 s."""
PIECE_BYTES = 4 * 1024  # of packed data; unpacked it is 4 MB at most


def walk_png(content: bytes) -> Encoded:
    """Parse up to IEND. Raises `UndecodableFrameError`."""
    parts = [content[:8]]
    orientation = 1
    for kind, start, end in _chunks(content):
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            parts.append(content[start:end])
        elif kind == b"eXIf":
            orientation = exif_orientation(content[start + 8 : end - 4])
    if content[12:16] != b"IHDR":
        raise broken("PNG", content, "does not begin with its IHDR chunk")
    return Encoded("png", *png_size(content), orientation, b"".join(parts))


def png_size(content: bytes) -> tuple[int, int]:
    """Return the size in the header."""
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk, up to and including IEND."""
    end = 8
    for _ in range(MAX_SEGMENTS):
        start = end
        kind = content[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(content[start : start + 4])
        if end > len(content) or len(kind) < 4:
            raise broken("PNG", content, "is cut short: no IEND chunk")
        yield kind, start, end
        if kind == b"IEND":
            return
    raise too_many("PNG", content)


def refuse_bomb(picture: Encoded) -> None:
    """Refuse a PNG whose data unpack to more than its rows. The caller has checked its size.

    An interlaced PNG has up to twice as many rows, each with up to two bytes besides its pixels.
    """
    content = picture.content
    if picture.codec != "png" or len(content) <= UNASKED_BYTES:
        return
    chunks = [content[a + 8 : b - 4] for kind, a, b in _chunks(content) if kind == b"IDAT"]
    packed = b"".join(chunks)
    pixel_bits = min(64, content[24] * {0: 1, 2: 3, 3: 1, 4: 2}.get(content[25], 4))
    rest = picture.height * (picture.width * pixel_bits // 8 + 5) + UNASKED_BYTES
    unpacker = zlib.decompressobj()
    for at in range(0, len(packed), PIECE_BYTES):
        try:
            rest -= len(unpacker.decompress(packed[at : at + PIECE_BYTES]))
        except zlib.error as exc:
            raise broken("PNG", content, f"is damaged: {exc}") from exc
        if rest < 0:
            raise broken("PNG", content, "unpacks to more than its rows")
