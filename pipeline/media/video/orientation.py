"""How the pictures of one stream are to be turned."""

import av

from pipeline.media.showing.display import own_orientation

UPRIGHT = 1


class Orientation:
    """Follows the EXIF orientation of a stream through all its decoders.

    A container's matrix holds for all pictures, but only the container's own decoder repeats it. A
    message in a unit (SEI, ITU-T H.264 D.2.27) comes with one picture. Either holds until another
    comes: encoders do not repeat the message in every coded sequence.
    """

    def __init__(self) -> None:
        self._newest = UPRIGHT

    def of(self, frame: av.VideoFrame, *, turned: bool) -> int:
        """Return the orientation of a picture; `turned`: its unit has a message about it."""
        own = own_orientation(frame)
        if own is not None or turned:  # libav reports no message of 0 degrees
            self._newest = UPRIGHT if own is None else own
        return self._newest
