"""What cameras publish, and the contract of what publishes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pipeline.records import Headers
from pipeline.wire.frames import frame_headers


@dataclass(frozen=True, slots=True)
class Shot:
    """One JPEG, ready for the log. `captured_us` counts from 1970."""

    stream: str
    seq: int
    epoch: int
    captured_us: int
    content: bytes

    @property
    def headers(self) -> Headers:
        """The headers that the wire contract asks for."""
        return frame_headers(
            captured_us=self.captured_us,
            seq=self.seq,
            epoch=self.epoch,
            content_type="image/jpeg",
        )


class ShotOutcome(Enum):
    """What became of a shot that was sent."""

    TAKEN = "taken"
    OVERSIZED = "oversized"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SettledShot:
    """The outcome of one shot; `why` in words where it was not taken."""

    number: int
    outcome: ShotOutcome
    why: str = ""


class Uplink(Protocol):
    """A producer that keeps the order of what it is sent, and never gives up by itself.

    After an outcome `FAILED` it is of no further use.
    """

    def send(self, number: int, shot: Shot) -> None:
        """Hand a shot over, without waiting for the broker."""

    def settled(self) -> Sequence[SettledShot]:
        """Return the outcomes since the last call."""

    def close(self) -> None:
        """Release it without waiting for what is still on its way."""
