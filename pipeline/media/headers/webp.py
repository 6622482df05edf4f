"""Reads the chunks of a WebP."""

from collections.abc import Iterator
from typing import Literal

from pipeline.media.headers.encoded import (
    MAX_SEGMENTS,
    Encoded,
    broken,
    exif_orientation,
    too_many,
)

WEBP_SIZED = {b"VP8X", b"VP8 ", b"VP8L"}


def walk_webp(content: bytes) -> Encoded:
    """Parse up to the size in the RIFF header. Raises `UndecodableFrameError`."""
    orientation, sizes, parts = 1, list[tuple[int, int]](), list[bytes]()
    codec: Literal["webp", "lossless"] = "webp"
    for kind, start, end in _webp_chunks(content):
        body = content[start + 8 : end]
        if kind in (b"ANIM", b"ANMF"):
            raise broken("WebP", content, "is animated: a film, not a picture")
        if kind in WEBP_SIZED:
            sizes.append(webp_size(kind, body))
            codec = "lossless" if kind == b"VP8L" else codec
        if kind in (b"VP8X", b"ALPH", b"VP8 ", b"VP8L"):
            parts.append(content[start:end] + b"\0" * (end & 1))
        elif kind == b"EXIF":
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
    if len(set(sizes)) != 1 or len(sizes) > 2:
        raise broken("WebP", content, f"is damaged: it holds pictures of sizes {sizes[:4]}")
    chunks = b"WEBP" + b"".join(parts)
    riff = b"RIFF" + len(chunks).to_bytes(4, "little") + chunks
    return Encoded(codec, *sizes[0], orientation, riff)


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk, up to the size in the RIFF header."""
    stop = 8 + int.from_bytes(content[4:8], "little")
    if stop > len(content):
        raise broken("WebP", content, f"is cut short: its RIFF header says {stop}")
    start = 12
    for _ in range(MAX_SEGMENTS):
        if start + 8 > stop:
            return
        kind = content[start : start + 4]
        end = start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")
        if end > stop:
            raise broken("WebP", content, f"is damaged: its chunk {kind!r} has no end")
        yield kind, start, end
        start = end + (end & 1)
    raise too_many("WebP", content)


def webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    """Return the size that a chunk of one of the kinds WEBP_SIZED declares."""
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF
