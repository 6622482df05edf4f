"""How the pictures of one stream are to be turned."""

import av

UPRIGHT = 1

# degrees counter-clockwise by which a video must be turned -> EXIF orientation
_ORIENTATIONS = {-90: 6, 90: 8, 180: 3, -180: 3}


def rotation(frame: av.VideoFrame) -> int:
    """Return the EXIF orientation of a video frame, as it says itself."""
    return _ORIENTATIONS.get(frame.rotation, UPRIGHT)


class Orientation:
    """Follows the orientation of a stream through all its decoders.

    A container's matrix holds for all pictures, but only the container's own decoder repeats it. A
    message in a unit (SEI) holds until the next group of units (ITU-T H.264 D.2.27), but libav
    reports it with that unit's picture only.
    """

    def __init__(self) -> None:
        self._container = UPRIGHT
        self._group: int | None = None  # as the newest message says

    def of(self, frame: av.VideoFrame, *, key: bool, turned: bool) -> int:
        """Return the EXIF orientation of a picture; `turned`: its unit has a message about it."""
        own = rotation(frame)
        if turned:
            self._group = own
        elif key:
            self._group = None
        if self._group is None and own != UPRIGHT:
            self._container = own
        return self._container if self._group is None else self._group
