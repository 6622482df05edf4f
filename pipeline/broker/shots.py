"""The frames that cameras publish, and the contract of the producer that publishes them."""

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
        """The headers that the wire contract requires."""
        return frame_headers(
            captured_us=self.captured_us,
            seq=self.seq,
            epoch=self.epoch,
            content_type="image/jpeg",
        )


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
