"""Opens a file of letters, or standard input, and reads its lines. What it takes is bounded.

Lines are read one by one, so memory does not grow with the file, packed or not.
"""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pipeline.errors import SourceError
from pipeline.media.address import Address

STDIN = "-"
LINE_BYTES = 1 << 20  # of one line, or of the piece of a longer one
UNPACKED_BYTES = 1 << 36  # of one packed file: a terabyte of nothing fits into a gigabyte of gzip


class Lines(Protocol):
    """A file that is open for reading bytes."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or a piece of it of at most `size` bytes; at the end nothing."""

    def close(self) -> None:
        """Close it."""


@contextmanager
def translated_letters(name: str) -> Iterator[None]:
    """Turn what reading can raise into `SourceError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as exc:
        why = getattr(exc, "strerror", None) or str(exc)
        raise SourceError(f"{name}: {why}") from None


def open_bytes(address: Address) -> Lines:
    """Open a file, `-` for standard input, unpacked if its name ends with .gz.

    Raises `SourceError`.
    """
    if address.url == STDIN:
        return sys.stdin.buffer
    if address.is_url:
        raise SourceError(f"{address.shown}: letters are read from files and standard input alone")
    path = Path(address.url)
    with translated_letters(address.shown):
        if path.is_dir():
            raise SourceError(f"{address.shown}: a folder; wanted a file of letters")
        return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")


def pieces(file: Lines, name: str) -> Iterator[bytes]:
    """Read lines with their ends; one that is too long comes in pieces. Raises `SourceError`."""
    read = 0
    while True:
        with translated_letters(name):
            piece = file.readline(LINE_BYTES)
        if not piece:
            return
        read += len(piece)
        if read > UNPACKED_BYTES:
            raise SourceError(
                f"{name}: more than {UNPACKED_BYTES:,} bytes unpacked; split the file"
            )
        yield piece


def whole_lines(file: Lines, name: str) -> Iterator[tuple[int, bytes]]:
    """Read numbered lines without their ends, from 1. Raises `SourceError` for a long one."""
    for number, line in enumerate(pieces(file, name), start=1):
        if len(line) == LINE_BYTES and not line.endswith(b"\n"):
            raise SourceError(f"{name} line {number}: longer than {LINE_BYTES:,} bytes")
        yield number, line.removesuffix(b"\n").removesuffix(b"\r")
