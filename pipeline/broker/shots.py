"""What cameras hand to the log, and the contract of the way there."""

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
        """As the wire contract wants them."""
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
    """A way into the log that keeps the order of what it is sent, and never gives up by itself.

    After an outcome `FAILED` it is of no further use.
    """

    def send(self, number: int, shot: Shot) -> None:
        """Hand a shot over, without waiting for the broker."""

    def settled(self) -> Sequence[SettledShot]:
        """What has become of shots since the last call."""

    def close(self) -> None:
        """Let go, whatever is still on its way."""
