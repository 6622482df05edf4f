"""Shows the frames of a video as its author meant: turned, mirrored, and as whole pictures."""

import struct

import av
from av.sidedata.sidedata import SideData

from pipeline.media.interlaced import progressive
from pipeline.media.pictures import upright

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


class Display:
    """Turns the frames of one stream, in the order in which they are shown.

    A container's matrix comes with every frame. That of an SEI message (H.264 D.2.27) comes with
    one frame and holds until another comes. Encoders do not repeat it in every coded sequence.
    """

    def __init__(self) -> None:
        self._orientation = 1

    def upright(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame upright and progressive. Raises `UndecodableFrameError`."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if isinstance(matrix, SideData):
            self._orientation = orientation_of(bytes(matrix))
        return upright(progressive(frame), self._orientation)


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
