"""What the arrivals of a camera's packets say about its rate, its keyframes and its clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet, by what is known of it before it is decoded. None is what is not told."""

    at_s: float  # by our wall clock
    sent_s: float | None  # by the stream's own time, which begins anywhere
    taken_s: float | None  # by the camera's wall clock
    size_bytes: int
    keyframe: bool


def rate_hz(times_s: Sequence[float]) -> float | None:
    """So many a second, of times in order."""
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        return None
    return (len(times_s) - 1) / (times_s[-1] - times_s[0])


def gop_frames(arrivals: Sequence[Arrival]) -> int | None:
    """Frames from one keyframe to the next; None where two of them were not seen."""
    keyframes = [index for index, arrival in enumerate(arrivals) if arrival.keyframe]
    return round(median(b - a for a, b in pairwise(keyframes))) if len(keyframes) > 1 else None


def jitter_s(arrivals: Sequence[Arrival]) -> float | None:
    """Tell by how much 19 of 20 packets at most are nearer to, or further from, the one before.

    Measured against the times they were sent, or, where those are not told, against an even pace.
    """
    if len(arrivals) < 3:
        return None
    even_s = mean(b.at_s - a.at_s for a, b in pairwise(arrivals))
    apart = sorted(
        abs(b.at_s - a.at_s - _sent_apart_s(a, b, even_s)) for a, b in pairwise(arrivals)
    )
    return apart[int(0.95 * len(apart))]


def clock_offset_s(arrivals: Sequence[Arrival]) -> float | None:
    """The camera's clock minus ours, by the packet that was quickest here."""
    ahead = [arrival.taken_s - arrival.at_s for arrival in arrivals if arrival.taken_s is not None]
    return max(ahead) if ahead else None


def _sent_apart_s(a: Arrival, b: Arrival, even_s: float) -> float:
    return even_s if a.sent_s is None or b.sent_s is None else b.sent_s - a.sent_s
