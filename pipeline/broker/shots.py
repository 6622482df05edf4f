"""The frames that cameras publish, and the contract of the producer that publishes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

from pipeline.records import TRACEPARENT, Headers
from pipeline.wire.frames import frame_headers
from pipeline.wire.units import H264_TYPE


class ShotKind(IntEnum):
    """What the content of a shot is. The numbers are stored in spools."""

    PICTURE = 0  # a JPEG
    KEYFRAME = 1  # a unit of H.264, with which decoding can begin
    UNIT = 2  # a unit of H.264, which continues the one before


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame, ready for the log. `captured_us` counts from 1970.

    `traceparent` is the header of its trace; None: it is not traced.
    """

    stream: str
    seq: int
    epoch: int
    captured_us: int
    content: bytes
    kind: ShotKind = ShotKind.PICTURE
    traceparent: bytes | None = None

    @property
    def continues(self) -> bool:
        """Whether it is of no use without the shot before it."""
        return self.kind is ShotKind.UNIT

    @property
    def headers(self) -> Headers:
        """The headers that the wire contract requires."""
        headers = frame_headers(
            captured_us=self.captured_us,
            seq=self.seq,
            epoch=self.epoch,
            content_type="image/jpeg" if self.kind is ShotKind.PICTURE else H264_TYPE,
            keyframe=self.kind is ShotKind.KEYFRAME,
        )
        return headers if self.traceparent is None else (*headers, (TRACEPARENT, self.traceparent))


class ShotOutcome(Enum):
    """How the sending of a shot ended."""

    TAKEN = "taken"
    OVERSIZED = "oversized"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SettledShot:
    """The outcome of one shot, and why it was not taken, in words."""

    number: int
    outcome: ShotOutcome
    why: str = ""


class Uplink(Protocol):
    """A producer that keeps the order of shots and retries without a time limit.

    After an outcome `FAILED` it must not be used any more.
    """

    def send(self, number: int, shot: Shot) -> None:
        """Send a shot, without waiting for the broker."""

    def settled(self) -> Sequence[SettledShot]:
        """Return the outcomes since the last call."""

    @property
    def trouble(self) -> str:
        """Why the broker cannot be reached now, as far as it is known; empty if it can."""

    def close(self) -> None:
        """Release it without waiting for shots in flight."""
