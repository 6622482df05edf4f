"""What becomes of one access unit."""

from dataclasses import dataclass

import av


@dataclass(frozen=True, slots=True)
class Decoded:
    """The picture of a unit. `key`: a new chain of units began with it.

    `orientation` is the EXIF orientation: the picture is to be turned by it.
    """

    picture: av.VideoFrame
    key: bool = False
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class Broken:
    """The unit is damaged, or does not follow the one before. `words` name the rule it breaks.

    No unit has a picture after it until the next keyframe.
    """

    words: str


@dataclass(frozen=True, slots=True)
class Unkeyed:
    """The unit cannot be decoded, because there is no whole chain of units from a keyframe on."""


Outcome = Decoded | Broken | Unkeyed
