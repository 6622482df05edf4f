"""Reads SEI messages: their frames, and display orientations (H.264 D.2.27, H.265 D.3.17)."""

from collections.abc import Iterator

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.headers.bits import Bits

DISPLAY_ORIENTATION = 47  # the type of a message, in both codecs
UPRIGHT = 1  # EXIF orientation

_CONTINUED = 255  # a byte of the type or size of a message that is followed by another
_QUARTER = 1 << 14  # of 2**16, which is a full turn
_SQUARE = _QUARTER // 100  # a turn is one of quarters if it is no further off
# EXIF orientations after so many quarter turns anticlockwise
_TURNED, _MIRRORED = (1, 8, 3, 6), (2, 5, 4, 7)


def read_messages(payload: bytes) -> Iterator[tuple[int, Bits]]:
    """Yield the type and the bits of each message of an SEI NAL unit, as far as it can be read.

    `payload` is the unit without its header.
    """
    payload = payload.replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    while at + 2 < len(payload):
        numbers = list[int]()
        for _ in ("type", "size"):
            number = 0
            while at < len(payload) and payload[at] == _CONTINUED:
                number, at = number + _CONTINUED, at + 1
            numbers.append(number + sum(payload[at : at + 1]))
            at += 1
        kind, size = numbers
        if at + size > len(payload):
            return
        yield kind, Bits(payload[at : at + size])
        at += size


def read_orientation(payload: bytes) -> int | None:
    """Return the EXIF orientation that an SEI NAL unit asks for; None if it says nothing.

    A message that ends the turn, and a turn that is not one of quarters, are `UPRIGHT`.
    """
    found = None
    for kind, bits in read_messages(payload):
        if kind == DISPLAY_ORIENTATION:
            try:
                found = _orientation(bits)
            except UndecodableFrameError:  # it is cut off
                continue
    return found


def _orientation(bits: Bits) -> int:
    if bits.flag():
        return UPRIGHT
    flip_columns, flip_rows = bits.flag(), bits.flag()
    quarters, rest = divmod(bits.u(16) + _SQUARE, _QUARTER)
    if rest > 2 * _SQUARE:
        return UPRIGHT
    # the flips come first; flipping rows is flipping columns and half a turn
    known = _MIRRORED if flip_columns != flip_rows else _TURNED
    return known[(quarters + 2 * flip_rows) % 4]
