"""Valid pictures of every kind that a camera or a producer may send, and decompression bombs."""

import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

from tests.pipeline.pictures import encoded, noisy, png_chunk, png_claiming, scene, turned

PNG = b"\x89PNG\r\n\x1a\n"
BOMB_BYTES = 2 << 30  # what each bomb would unpack to


@cache
def whole() -> dict[str, bytes]:
    """Return pictures that decode, by their kind."""
    picture = noisy(60, 80)
    clear = scene(60, 80)
    clear.putalpha(clear.convert("L"))
    deep = Image.fromarray(np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13)
    film = [picture.rotate(90), picture.rotate(180)]
    return {
        "jpeg": encoded(picture, "JPEG", quality=85),
        "jpeg progressive": encoded(picture, "JPEG", progressive=True),
        "jpeg restarts": encoded(picture, "JPEG", restart_marker_rows=1),
        "jpeg cmyk": encoded(picture.convert("CMYK"), "JPEG"),
        "jpeg grey": encoded(picture.convert("L"), "JPEG"),
        "jpeg exif": turned(picture, "JPEG", 6),
        "png": encoded(picture, "PNG"),
        "png alpha": encoded(clear, "PNG"),
        "png 16 bits": encoded(deep, "PNG"),
        "png palette": encoded(picture.convert("P"), "PNG"),
        "png exif": turned(picture, "PNG", 3),
        "apng": encoded(picture, "PNG", save_all=True, append_images=film),
        "webp": encoded(picture, "WEBP"),
        "webp lossless": encoded(picture, "WEBP", lossless=True),
        "webp alpha": encoded(clear, "WEBP"),
        "webp exif": turned(picture, "WEBP", 8),
        "webp film": encoded(picture, "WEBP", save_all=True, append_images=film),
    }


@cache
def bombs() -> dict[str, bytes]:
    """Return small files that need much memory or time."""
    zeros = packed_zeros(BOMB_BYTES)
    png, jpeg = whole()["png"], whole()["jpeg"]
    grey = encoded(Image.new("L", (4096, 4096), 128), "JPEG", progressive=True)
    scan = grey[grey.rindex(b"\xff\xda") : -2]
    return {
        "zTXt": png[:33] + png_chunk(b"zTXt", b"key\0\0" + zeros) + png[33:],
        "iCCP": png[:33] + png_chunk(b"iCCP", b"key\0\0" + zeros) + png[33:],
        "iTXt": png[:33] + png_chunk(b"iTXt", b"key\0\1\0\0\0" + zeros) + png[33:],
        "twice the rows, and large": flat_png(4_096, 4_096, packed_zeros(600 << 20)),
        "more rows than said": flat_png(80, 60, zeros),
        "a wall of pixels": flat_png(4_095, 5_120, packed_zeros(60 << 20)),
        "fewer rows than said": png_claiming(5_000, 5_000),
        "absurd size, endless rows": flat_png(2**31 - 1, 2**31 - 1, zeros),
        "absurd size": png_claiming(2**31 - 1, 2**31 - 1),
        "jpeg of 65535 x 65535": resized_jpeg(jpeg, 65_535, 65_535),
        "jpeg of 5000 x 5000": resized_jpeg(jpeg, 5_000, 5_000),
        "scans": grey[:-2] + scan * 300 + b"\xff\xd9",
        "scans within the limit": grey[:-2] + scan * 20 + b"\xff\xd9",
        "segments": jpeg[:2] + b"\xff\xe3\0\2" * 200_000 + jpeg[2:],
        "chunks": png[:33] + png_chunk(b"IDAT", b"") * 60_000 + png[33:],
        "flat webp": flat_webp(4_000, 4_000),
        "huge": flat_webp(8_192, 8_192),
        "thread": encoded(Image.new("L", (1, 30_000)), "PNG"),
    }


def packed_zeros(count: int) -> bytes:
    """Return `count` zeros compressed by zlib, a thousandth of their size, computed quickly."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = (count % 65_521) << 16 | 1
    return b"\x78\xda" + piece * (count >> 20) + b"\3\0" + struct.pack(">I", adler)


def flat_png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG of any size with these compressed rows and right checksums."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return PNG + b"".join(png_chunk(kind, body) for kind, body in chunks)


def flat_webp(width: int, height: int) -> bytes:
    """Return a black WebP of any size, in 34 bytes."""
    return encoded(Image.new("RGB", (width, height)), "WEBP", lossless=True, method=0)


def resized_jpeg(content: bytes, width: int, height: int) -> bytes:
    """Return a baseline JPEG with another size in its header."""
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]
