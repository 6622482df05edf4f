"""Draws the number and capture time of a frame into its picture, in cells that survive encoding.

A grid of 16 x 12 cells covers a picture of any size. Its upper five rows are 80 bits, with white
for 1: capture time in ms (48), number (24), checksum (8). A light cell moves along the last row.
Imports only the standard library, because Debian's Python, which runs GStreamer, imports it too.
"""

from dataclasses import dataclass
from typing import Any

COLUMNS, ROWS = 16, 12
TIME_BITS, NUMBER_BITS, CHECK_BITS = 48, 24, 8
BITS = TIME_BITS + NUMBER_BITS + CHECK_BITS
DARK, GREY, LIGHT = 16, 126, 235


@dataclass(frozen=True, slots=True)
class Mark:
    """The number and the capture time that a picture contains."""

    number: int
    captured_ms: int


def draw(mark: Mark, width: int, height: int) -> bytes:
    """Return the luma plane of a picture with this mark, row by row without padding."""
    shades = [LIGHT if bit else DARK for bit in _bits(mark)]
    shades += [GREY] * (COLUMNS * ROWS - BITS)
    shades[COLUMNS * (ROWS - 1) + mark.number % COLUMNS] = LIGHT
    lines = []
    for row in range(ROWS):
        line = b"".join(
            bytes([shades[COLUMNS * row + column]]) * _size(column, COLUMNS, width)
            for column in range(COLUMNS)
        )
        lines.append(line * _size(row, ROWS, height))
    return b"".join(lines)


def read(pixels: Any) -> Mark:
    """Read the mark of a picture, an array (H, W, 3). Raises `ValueError` if it has none."""
    height, width = pixels.shape[:2]
    value = 0
    for index in range(BITS):
        row, column = divmod(index, COLUMNS)
        y, x = (2 * row + 1) * height // (2 * ROWS), (2 * column + 1) * width // (2 * COLUMNS)
        value = value << 1 | (int(pixels[y, x].mean()) > GREY)
    body, check = value >> CHECK_BITS, value & 0xFF
    if _check(body) != check:
        raise ValueError(f"no mark in a picture of {width} x {height}: its check does not fit")
    return Mark(body & (1 << NUMBER_BITS) - 1, body >> NUMBER_BITS)


def _bits(mark: Mark) -> list[bool]:
    body = mark.captured_ms << NUMBER_BITS | mark.number % (1 << NUMBER_BITS)
    value = body << CHECK_BITS | _check(body)
    return [bool(value >> shift & 1) for shift in reversed(range(BITS))]


def _check(body: int) -> int:
    return sum(body.to_bytes((TIME_BITS + NUMBER_BITS) // 8, "big")) * 31 % 251 + 1


def _size(index: int, cells: int, pixels: int) -> int:
    return (index + 1) * pixels // cells - index * pixels // cells
