"""Unpacks compressed batches within a limit. The only place that knows codecs.

The broker's limit counts packed bytes, and 0.4 MB of gzip can hold 400 MB. So the unpacked size is
limited here, before unpacking: no more memory than the limit is ever filled.
"""

import struct
from collections.abc import Callable, Mapping
from typing import TypeAlias

import cramjam
import numpy as np

from pipeline.broker.kafka.vendor.border import REQUEST_BYTES

Codec: TypeAlias = Callable[
    [memoryview, memoryview], int
]  # (packed bytes, buffer to write to) -> bytes written

FREE_BYTES = 1 << 20
FREE_RATIO = 64
"""A batch may unpack to FREE_BYTES, as producers fill no larger ones with small records, and to
FREE_RATIO times its size, so that what it costs to unpack is proportional to what it costs to send.
Pictures hardly compress, text tenfold, zeros a thousandfold."""
MOST_RATIO = 4
"""The most that any batch may unpack to is this many times the largest request."""

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16  # the magic, a version and the oldest version that can read it
_BLOCK_LENGTH = struct.Struct(">i")


class UnpackError(Exception):
    """A batch cannot be unpacked; the message says why."""


def unpacked_limit(packed_bytes: int) -> int:
    """Return how many bytes a batch of this size may unpack to.

    If a topic accepts larger batches than our largest request, the batch's own size counts.
    """
    most = MOST_RATIO * max(REQUEST_BYTES, packed_bytes)
    return min(FREE_BYTES + FREE_RATIO * packed_bytes, most)


def unpack(codec: int, packed: memoryview) -> bytes:
    """Unpack the records of a batch; `codec` is the number in the batch's attributes.

    Raises `UnpackError` for an unknown codec, damaged bytes, and more bytes than the limit.
    """
    name, decompress = _CODECS.get(codec, (None, None))
    if name is None or decompress is None:
        raise UnpackError(f"codec {codec} is unknown")
    limit = unpacked_limit(len(packed))
    room = np.empty(limit, np.uint8).data  # the system allocates only those pages that are written
    try:
        size = decompress(packed, room)
    except (cramjam.DecompressionError, UnpackError) as exc:
        raise UnpackError(
            f"{len(packed)} bytes of {name} do not unpack into at most {limit} bytes ({exc})"
        ) from exc
    return bytes(room[:size])


def _snappy(packed: memoryview, room: memoryview) -> int:
    """Unpack one raw block (librdkafka), or many in the framing of Java's xerial library."""
    if packed[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return cramjam.snappy.decompress_raw_into(packed, room)
    at, size = _XERIAL_HEADER_BYTES, 0
    while at < len(packed):
        if len(packed) - at < _BLOCK_LENGTH.size:
            raise UnpackError(f"the block at byte {at} has no length")
        (length,) = _BLOCK_LENGTH.unpack_from(packed, at)
        at += _BLOCK_LENGTH.size
        if not 0 < length <= len(packed) - at:
            raise UnpackError(f"the block at byte {at} has {length} bytes")
        size += cramjam.snappy.decompress_raw_into(packed[at : at + length], room[size:])
        at += length
    return size


_CODECS: Mapping[int, tuple[str, Codec]] = {
    1: ("gzip", cramjam.gzip.decompress_into),
    2: ("snappy", _snappy),
    3: ("lz4", cramjam.lz4.decompress_into),
    4: ("zstd", cramjam.zstd.decompress_into),
}
