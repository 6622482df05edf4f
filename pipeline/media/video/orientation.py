"""How the pictures of one stream are to be turned."""

import av

from pipeline.media.showing.display import own_orientation
from pipeline.media.video.headers.messages import UPRIGHT


class Orientation:
    """Follows the EXIF orientation of a stream through all its decoders.

    A container's matrix holds for all pictures, but only the container's own decoder repeats it. A
    message in a unit (SEI) holds until another comes, and goes before the matrix: encoders do not
    repeat it in every coded sequence. libav overlooks a message behind the slices, and one of 0
    degrees, so messages are read here.
    """

    def __init__(self) -> None:
        self._newest = UPRIGHT
        self._by_message = False

    def of(self, frame: av.VideoFrame, *, message: int | None) -> int:
        """Return the orientation of a picture; `message`: the one that its unit asks for."""
        if message is not None:
            self._newest, self._by_message = message, True
        elif not self._by_message and (own := own_orientation(frame)) is not None:
            self._newest = own
        return self._newest
