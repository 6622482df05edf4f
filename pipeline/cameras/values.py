"""Pictures that cameras send and their fates. Frozen values; the enums' words label the metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import av

from pipeline.media.video.outcomes import NOT_H264, StorableUnit, Unstorable


class State(StrEnum):
    """The state of a camera. A camera is in exactly one of them at any time."""

    CONNECTING = "connecting"  # not reached yet
    LIVE = "live"
    STALLED = "stalled"  # it was live, and no good picture has arrived for a while
    FROZEN = "frozen"  # pictures arrive, but they are all the same
    REFUSED = "refused"  # it answers, but denies access or sends no usable video


@dataclass(frozen=True, slots=True)
class Condition:
    """A camera's state since `since_s` (seconds since 1970), and why it is not live."""

    state: State = State.CONNECTING
    why: str = ""
    since_s: float = 0.0


class PictureFate(StrEnum):
    """How a picture that a camera sent ended."""

    PUBLISHED = "published"  # the broker acknowledged it
    THINNED = "thinned"  # above the limit of `fps`
    DAMAGED = "damaged"  # does not decode, or something is missing before it
    UNKEYED = "unkeyed"  # no whole keyframe is before it: it would be wrong, or not decodable
    UNFIT = "unfit"  # its size does not fit the view or a mask
    FROZEN = "frozen"  # the same as the pictures before it
    OVERFLOWED = "overflowed"  # this process could not keep up
    EXPIRED = "expired"  # the broker was away for longer than the spool holds
    OVERSIZED = "oversized"  # larger than the broker accepts


class ClockFault(StrEnum):
    """Why a camera's time stamps are not used."""

    SLOW = "slow"  # they run slower than real time, or its pictures come later and later
    FAST = "fast"
    STILL = "still"  # they do not change
    WILD = "wild"  # they do not continue those before
    JUMPED = "jumped"  # they continue at another value, and it is not certain yet at which

    @property
    def words(self) -> str:
        """What is wrong, with the time stamps as the subject."""
        return {
            ClockFault.SLOW: "run slower than real time, or pictures come later and later",
            ClockFault.FAST: "run faster than real time",
            ClockFault.STILL: "stand still",
            ClockFault.WILD: "jump at random",
            ClockFault.JUMPED: "jumped",
        }[self]


class NewEpoch(StrEnum):
    """Why a new epoch began: the pictures no longer continue those before."""

    START = "start"
    CLOCK = "clock"  # the camera's clock jumped
    SIZE = "size"  # the size of the pictures changed
    CONTENT = "content"  # from JPEG to the camera's own H.264, or back


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as received: `jpeg` if the camera sends JPEG itself, otherwise `frame`.

    Of a picture that was cut, both are None: `part` makes its frame, or raises
    `UndecodableFrameError`.

    Times are in microseconds. `pts_us` is the presentation time stamp of the stream, None if it
    has none; `wall_us` is the capture time by the camera's own clock, if it sends one;
    `captured_us` is the capture time, set only if it is known for certain. `late_us` is how long
    ago the picture arrived: pictures can be held back before they are handed on. `unit` is the unit
    of video that gave the picture.
    """

    width: int
    height: int
    jpeg: bytes | None = None
    frame: av.VideoFrame | None = None
    pts_us: int | None = None
    wall_us: int | None = None
    captured_us: int | None = None
    late_us: int = 0
    unit: StorableUnit | Unstorable = NOT_H264
    part: Callable[[], av.VideoFrame] | None = None


@dataclass(frozen=True, slots=True)
class PublishedAs:
    """What a camera's frames are published as. `units`: its own H.264, else JPEG.

    `why_not` says why not its own H.264, empty if that is not wanted or not known yet.
    `long_groups`: its keyframes are far apart.
    """

    units: bool = False
    why_not: str = ""
    long_groups: bool = False
