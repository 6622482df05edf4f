"""What becomes of one access unit."""

from dataclasses import dataclass

import av


@dataclass(frozen=True, slots=True)
class StorableUnit:
    """A unit of H.264 in Annex B that can be a record of its own: `strict_chains` has the rules.

    `number` counts the units of a chain; 0 is its keyframe, which has its parameter sets.
    """

    content: bytes
    number: int

    @property
    def key(self) -> bool:
        """Whether decoding can begin with it."""
        return self.number == 0


@dataclass(frozen=True, slots=True)
class Unstorable:
    """Why a unit cannot be a record of its own. `lasts`: the camera has to be set otherwise.

    If it does not last, the next keyframe can begin a chain.
    """

    words: str
    lasts: bool = True


NOT_H264 = Unstorable("it is not H.264")


@dataclass(frozen=True, slots=True)
class Decoded:
    """The picture of a unit. `key`: a new chain of units began with it.

    `orientation` is the EXIF orientation: the picture is to be turned by it. `unit` is the unit
    itself, if it was followed by the rules for stored ones.
    """

    picture: av.VideoFrame
    key: bool = False
    orientation: int = 1
    unit: StorableUnit | Unstorable = NOT_H264


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
