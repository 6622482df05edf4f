"""What cameras send and what becomes of it. Frozen values, and the words that metrics use."""

from dataclasses import dataclass
from enum import StrEnum

import av


class State(StrEnum):
    """How a camera is. It is in one of these at any time."""

    CONNECTING = "connecting"  # not reached yet
    LIVE = "live"
    STALLED = "stalled"  # it was live, and nothing has come for a while
    FROZEN = "frozen"  # pictures come, and they are all the same
    REFUSED = "refused"  # it answers, and will not let us see


class Left(StrEnum):
    """What became of a picture that a camera sent."""

    PUBLISHED = "published"  # the broker has it
    THINNED = "thinned"  # above the limit of `fps`
    DAMAGED = "damaged"  # does not decode
    FROZEN = "frozen"  # the picture stands still
    OVERFLOWED = "overflowed"  # this process could not keep up
    EXPIRED = "expired"  # the broker was away for longer than the spool holds
    OVERSIZED = "oversized"  # larger than the broker takes


class Lost(StrEnum):
    """Why a camera was lost."""

    UNREACHABLE = "unreachable"  # nobody answers there
    REFUSED = "refused"  # somebody does, and says no
    STALLED = "stalled"  # the connection stands, and no picture came in time
    BROKEN = "broken"  # the connection broke, or what came made no sense
    ENDED = "ended"  # it said goodbye; a clip is over


class NewEpoch(StrEnum):
    """Why a camera's pictures no longer go on from those before."""

    START = "start"
    CLOCK = "clock"  # its clock has jumped
    SIZE = "size"  # its picture has another size


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as it came: `jpeg` where the camera itself sends that, else `frame`.

    Times in microseconds. `pts_us` is of the camera's own count, None where it sends none;
    `wall_us` is what the camera says the time was; `captured_us` is given where it is certain.
    `late_us` is for how long the picture has been here already.
    """

    width: int
    height: int
    jpeg: bytes | None = None
    frame: av.VideoFrame | None = None
    pts_us: int | None = None
    wall_us: int | None = None
    captured_us: int | None = None
    late_us: int = 0
