"""Pictures and videos for tests, written by Pillow and by the encoders of libav."""

import io
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(height: int, width: int) -> Image.Image:
    """Return a smooth picture without any symmetry, so that every turn and shift is visible."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 250 * x / width, 200 * y / height + 30, 120 * (x / width + y / height)
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


def noisy(height: int, width: int) -> Image.Image:
    """Return a picture with so much detail that every part of its file matters."""
    noise = np.random.default_rng(7).normal(0, 12, (height, width, 3))
    pixels = np.asarray(scene(height, width)) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(image: Image.Image, kind: str, orientation: int) -> bytes:
    """Encode with an EXIF orientation, almost without loss."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 98, "subsampling": 0},
        "PNG": {},
        "WEBP": {"lossless": True},
    }
    return encoded(image, kind, exif=exif, **options[kind])


def seen(content: bytes) -> NDArray[np.int64]:
    """Decode with Pillow: (H, W, 3), signed so that it can be subtracted."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(np.int64)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG with all chunks, but data for one row at most."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + data + png_chunk(b"IEND", b"")


def write_video(
    path: Path,
    times_ms: Sequence[int],
    *,
    muxer: str | None = None,
    height: int = 48,
    keyframe_every: int = 250,
    options: dict[str, str] | None = None,
) -> Path:
    """Write H.264, or MPEG-4 without that encoder; the left half is red."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    pixels = np.zeros((height, 64, 3), np.uint8)
    pixels[:, :32] = (200, 30, 30)
    with av.open(str(path), "w", format=muxer, options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = keyframe_every
        for time_ms in times_ms:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_video(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a, b, c, d of the display matrix into the track header of an MP4, as phones do."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = (one << 16 for one in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def jpeg(height: int, width: int, *, seed: int) -> bytes:
    """Return a JPEG of noise, a different one for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=90)
