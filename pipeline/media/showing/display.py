"""Shows the frames of a video as its author meant: turned, mirrored, and as whole pictures."""

import struct

import av
from av.sidedata.sidedata import SideData

from pipeline.media.pictures import upright
from pipeline.media.showing.interlaced import progressive

SQUARE = 0.01
"""A matrix is one of quarter turns and mirrors if its other terms are no larger than this share."""

# rows and columns swapped, rows flipped, columns flipped -> EXIF orientation
_ORIENTATIONS = {
    (False, False, False): 1,
    (False, False, True): 2,
    (False, True, True): 3,
    (False, True, False): 4,
    (True, False, False): 5,
    (True, False, True): 6,
    (True, True, True): 7,
    (True, True, False): 8,
}


def own_orientation(frame: av.VideoFrame) -> int | None:
    """Return the EXIF orientation that comes with a frame; None if none does."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return orientation_of(bytes(matrix)) if isinstance(matrix, SideData) else None


def shown(frame: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """Return the frame upright and progressive. Raises `UndecodableFrameError`."""
    return upright(progressive(frame), orientation)


def orientation_of(matrix: bytes) -> int:
    """Return the EXIF orientation of libav's display matrix; 1 if it is none of the eight.

    The matrix is that of QuickTime: x' = a x + c y, y' = b x + d y, with y downwards.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    straight, crossed = abs(a) + abs(d), abs(b) + abs(c)
    if crossed < SQUARE * straight and a and d:
        return _ORIENTATIONS[False, d < 0, a < 0]
    if straight < SQUARE * crossed and b and c:
        return _ORIENTATIONS[True, b < 0, c < 0]
    return 1
