"""What a source had, and did not give: frames that were left out, and an end that is missing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.media.video.outcomes import Broken, Unkeyed

NOTICED_S = 0.5  # a file whose video ends earlier than declared by more than this is cut off


class LeftOut(StrEnum):
    """Why a frame was left out. The words are those of `PictureFate`."""

    DAMAGED = "damaged"  # it does not decode, or units are missing before it
    UNKEYED = "unkeyed"  # no whole keyframe is before it: its picture would be wrong


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a container declares, and what could be read. `declared_frames`: None if unsaid."""

    declared_s: float
    read_s: float
    declared_frames: int | None
    read_frames: int

    def __str__(self) -> str:
        """For people."""
        frames = "" if self.declared_frames is None else f" ({self.declared_frames} frames)"
        return (
            f"declares {self.declared_s:.1f} s{frames}, of which {self.read_s:.1f} s"
            f" ({self.read_frames} frames) could be read: is the file cut off?"
        )


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is missing of a source so far."""

    left_out: Mapping[LeftOut, int]
    shortfall: Shortfall | None

    def __str__(self) -> str:
        """For people; empty if nothing is missing."""
        words = list[str]()
        if self.left_out:
            counts = ", ".join(f"{number} {why}" for why, number in self.left_out.items())
            words.append(f"frames left out: {counts}")
        if self.shortfall is not None:
            words.append(str(self.shortfall))
        return "; ".join(words)

    def json(self) -> dict[str, Any]:
        """For scripts; empty if nothing is missing."""
        found: dict[str, Any] = {}
        if self.left_out:
            found["left_out"] = {str(why): number for why, number in self.left_out.items()}
        if self.shortfall is not None:
            found["cut_off"] = {
                "declared_s": round(self.shortfall.declared_s, 3),
                "read_s": round(self.shortfall.read_s, 3),
            }
        return found


class Missing:
    """Counts what is missing while a source is read."""

    def __init__(self) -> None:
        self._left_out = Counter[LeftOut]()
        self._packets = 0
        self._end: int | None = None  # of the last packet, in the stream's time base
        self._shortfall: Shortfall | None = None

    def count(self, outcome: Broken | Unkeyed) -> None:
        """Count a frame that was left out."""
        self._left_out[LeftOut.DAMAGED if isinstance(outcome, Broken) else LeftOut.UNKEYED] += 1

    def saw(self, packet: "Packet[VideoStream]") -> None:
        """Count a packet of the video."""
        if packet.size:
            self._packets += 1
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            self._end = end if self._end is None else max(self._end, end)

    def ended(self, container: InputContainer, stream: VideoStream) -> None:
        """Compare what was read to the end with what the container declares."""
        declared_s, base = _declared_s(container, stream), stream.time_base
        if declared_s is None or self._end is None or base is None:
            return
        read_s = float((self._end - (stream.start_time or 0)) * base)
        if read_s + NOTICED_S < declared_s:
            self._shortfall = Shortfall(declared_s, read_s, stream.frames or None, self._packets)

    @property
    def so_far(self) -> Completeness:
        """What is missing by now."""
        return Completeness(dict(self._left_out), self._shortfall)


def _declared_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(Fraction(container.duration, 1_000_000))
    return None
