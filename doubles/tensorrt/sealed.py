"""The outer form of plans and timing caches: what TensorRT writes only TensorRT reads."""

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

import tensorrt_bindings

MOST_HEADER_BYTES = 1 << 20


class SealedError(Exception):
    """These bytes are not ours, or not whole."""


def version() -> str:
    """The version that the double claims to be: the genuine bindings', or another one."""
    return os.environ.get("DOUBLE_TENSORRT_VERSION") or str(tensorrt_bindings.__version__)


def seal(magic: bytes, header: Mapping[str, Any], content: bytes) -> bytes:
    """Write `magic`, the checksum and length of all that follows, the header and the content."""
    head = json.dumps(header, sort_keys=True).encode()
    body = len(head).to_bytes(4, "little") + head + content
    return magic + zlib.crc32(body).to_bytes(4, "little") + body


def unseal(magic: bytes, sealed: bytes) -> tuple[dict[str, Any], bytes]:
    """Read header and content back. Raises `SealedError`."""
    if sealed[: len(magic)] != magic:
        raise SealedError("magicTag mismatch: these bytes come from elsewhere")
    start = len(magic) + 4
    body = sealed[start:]
    if zlib.crc32(body) != int.from_bytes(sealed[len(magic) : start], "little"):
        raise SealedError("checksum mismatch: the bytes are damaged or not all there")
    size = int.from_bytes(body[:4], "little")
    if size > MOST_HEADER_BYTES:
        raise SealedError(f"a header of {size} bytes")
    return json.loads(body[4 : 4 + size]), body[4 + size :]
