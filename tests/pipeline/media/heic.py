"""A HEIC file as phones write it: a large picture in tiles, described by a grid."""

import struct
from fractions import Fraction

import av
import numpy as np

TILE = 64  # pixels of a side


def tiled_heic(rows: int, columns: int) -> bytes:
    """Return a picture of rows x columns tiles; a picture of one tile has no grid."""
    settings, picture = _tile()
    tiles = list(range(1, rows * columns + 1))
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, columns * TILE, rows * TILE)
    items = dict.fromkeys(tiles, (b"hvc1", picture))
    if len(tiles) > 1:
        items[len(tiles) + 1] = (b"grid", grid)
    head = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    meta = _meta(items, settings, tiles, (columns * TILE, rows * TILE), 0)
    meta = _meta(items, settings, tiles, (columns * TILE, rows * TILE), len(head) + len(meta) + 8)
    return head + meta + _box(b"mdat", b"".join(content for _, content in items.values()))


def _meta(
    items: dict[int, tuple[bytes, bytes]],
    settings: bytes,
    tiles: list[int],
    size: tuple[int, int],
    at: int,
) -> bytes:
    primary = max(items)
    entries, places = b"", b""
    for number, (kind, content) in items.items():
        entries += _box(b"infe", struct.pack(">IHH4sB", 2 << 24, number, 0, kind, 0))
        places += struct.pack(">HHHII", number, 0, 1, at, len(content))
        at += len(content)
    properties = _box(b"hvcC", settings)
    for width, height in ((TILE, TILE), size):
        properties += _box(b"ispe", struct.pack(">III", 0, width, height))
    owners = b"".join(
        struct.pack(">HBBB", number, 2, 0x81, 2)
        if number in tiles
        else struct.pack(">HBB", number, 1, 3)
        for number in items
    )
    parts = [
        _box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
        _box(b"pitm", struct.pack(">IH", 0, primary)),
        _box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(items)) + places),
        _box(b"iinf", struct.pack(">IH", 0, len(items)) + entries),
        _box(
            b"iprp",
            _box(b"ipco", properties) + _box(b"ipma", struct.pack(">II", 0, len(items)) + owners),
        ),
    ]
    if primary not in tiles:
        links = struct.pack(f">HH{len(tiles)}H", primary, len(tiles), *tiles)
        parts.append(_box(b"iref", bytes(4) + _box(b"dimg", links)))
    return _box(b"meta", bytes(4) + b"".join(parts))


def _tile() -> tuple[bytes, bytes]:
    """Return the decoder's settings (hvcC) and the data of one tile."""
    encoder = av.VideoCodecContext.create("libx265", "w")
    encoder.width = encoder.height = TILE
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = {"x265-params": "log-level=none:keyint=1"}
    encoder.flags |= av.codec.context.Flags.global_header
    frame = av.VideoFrame.from_ndarray(np.full((TILE, TILE, 3), 90, np.uint8), format="rgb24")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    units = _units(bytes(encoder.extradata or b""))
    picture = b"".join(struct.pack(">I", len(u)) + u for u in _units(bytes(packets[0])))
    level = bytes([1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 30, 0xF0, 0, 0xFC, 0xFD, 0xF8, 0xF8])
    sets = b"".join(struct.pack(">BHH", u[0] >> 1 & 63, 1, len(u)) + u for u in units)
    return level + bytes([0, 0, 0x0F, len(units)]) + sets, picture


def _units(annex_b: bytes) -> list[bytes]:
    return [unit.rstrip(b"\0") for unit in annex_b.split(b"\0\0\1") if unit.strip(b"\0")]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
