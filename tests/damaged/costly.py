"""The most expensive pictures that are accepted: as many pixels, scans and segments as may be."""

import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

from tests.damaged.seeds import PNG, flat_webp, packed_zeros
from tests.pipeline.pictures import encoded, png_chunk

WIDTH, HEIGHT = 4096, 2176  # `FRAME_PIXELS`
MOST_BYTES = 8 << 20  # of a record
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
LAST_PASS = (0, 1, 1, 2)  # of an interlaced PNG


@cache
def costly() -> dict[str, bytes]:
    """Return one picture of each kind that costs a decoder much, by its kind."""
    black, small = Image.new("RGB", (WIDTH, HEIGHT)), encoded(Image.new("RGB", (64, 64)), "JPEG")
    pixels = WIDTH * HEIGHT
    bomb = png_chunk(b"iCCP", b"a\0\0" + packed_zeros(100 << 20))
    return {
        "png": _png(WIDTH, HEIGHT, b"\0" + bytes(3 * WIDTH)),
        "png of 8 bytes a pixel": _png(WIDTH, HEIGHT, b"\0" + bytes(8 * WIDTH), colour=6, depth=16),
        "png with filters": _png(WIDTH, HEIGHT, b"\4" + bytes(3 * WIDTH)),
        "png of one row": _png(pixels, 1, bytes(3 * pixels + 1)),
        "png of one column": _png(1, pixels, bytes(4)),
        "png interlaced": _interlaced(),
        "png with a profile": _png(64, 64, bytes(193), extra=bomb),
        "png of many chunks": _png(64, 64, bytes(193), extra=png_chunk(b"tEXt", b"a\0b") * 9_990),
        "jpeg of noise": encoded(_noise(WIDTH, HEIGHT), "JPEG", quality=1),
        "jpeg progressive": encoded(black, "JPEG", progressive=True),
        "jpeg of 16 scans": _scans(16),
        "jpeg of 136 rows": encoded(Image.new("RGB", (65_500, 136)), "JPEG"),
        "jpeg of many tables": small[:2] + (b"\xff\xdb\0\x43\0" + b"\1" * 64) * 9_000 + small[2:],
        "jpeg of many markers": small[:2] + b"\xff\xfe\0\2" * (MOST_BYTES // 4) + small[2:],
        "jpeg padded with zeros": small[:-2] + b"\xff\0" * (MOST_BYTES // 2) + small[-2:],
        "jpeg padded with restarts": small[:-2] + b"\xff\xd0" * (MOST_BYTES // 2) + small[-2:],
        "jpeg padded with fill": small[:-2] + b"\xff\xff" * (MOST_BYTES // 2) + small[-2:],
        "jpeg with endless EXIF": small[:2] + _endless_exif() + small[2:],
        "webp": encoded(black, "WEBP", method=0),
        "webp lossless": flat_webp(WIDTH, HEIGHT) + bytes(8192),  # which allow its size
        "webp lossless of 544 rows": flat_webp(16_383, 544) + bytes(8192),
        "webp lossless of noise": encoded(_noise(600, 600), "WEBP", lossless=True, method=0),
    }


def _png(
    width: int, height: int, row: bytes, *, colour: int = 2, depth: int = 8, extra: bytes = b""
) -> bytes:
    """Return a PNG whose rows are all the same."""
    return _packed(width, height, row * height, colour=colour, depth=depth, extra=extra)


def _packed(
    width: int,
    height: int,
    rows: bytes,
    *,
    colour: int = 2,
    depth: int = 8,
    interlaced: bool = False,
    extra: bytes = b"",
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    data = png_chunk(b"IDAT", zlib.compress(rows, 1))
    return PNG + png_chunk(b"IHDR", header) + extra + data + png_chunk(b"IEND", b"")


def _interlaced() -> bytes:
    rows = []
    for left, top, right, down in (*PASSES, LAST_PASS):
        width, height = -(-(WIDTH - left) // right), -(-(HEIGHT - top) // down)
        rows.append((b"\4" + bytes(3 * width)) * height)
    return _packed(WIDTH, HEIGHT, b"".join(rows), interlaced=True)


def _noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _scans(count: int) -> bytes:
    content = encoded(Image.new("L", (WIDTH, HEIGHT), 128), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (count - content.count(b"\xff\xda")) + b"\xff\xd9"


def _endless_exif() -> bytes:
    tiff = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x11\x01" * 30_000
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 2) + tiff
