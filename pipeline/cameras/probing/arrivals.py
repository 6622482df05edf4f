"""Computes a camera's rate, keyframe distance, jitter and clock offset from packet arrivals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median, median_low

WILD_S = 5.0  # a time that is further from the others says nothing about the clock


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a packet before it is decoded. None: the stream does not contain it."""

    at_s: float  # arrival, by our wall clock
    sent_s: float | None  # by the stream's time stamps, whose zero is arbitrary
    taken_s: float | None  # capture, by the camera's wall clock
    size_bytes: int
    keyframe: bool


def rate_hz(times_s: Sequence[float]) -> float | None:
    """Return the mean rate of times in ascending order; None for fewer than two."""
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        return None
    return (len(times_s) - 1) / (times_s[-1] - times_s[0])


def gop_frames(arrivals: Sequence[Arrival]) -> int | None:
    """Return the median number of frames between keyframes; None with fewer than two keyframes."""
    keyframes = [index for index, arrival in enumerate(arrivals) if arrival.keyframe]
    return round(median(b - a for a, b in pairwise(keyframes))) if len(keyframes) > 1 else None


def jitter_s(arrivals: Sequence[Arrival]) -> float | None:
    """Return the 95th percentile of |arrival interval - send interval|; None below 3 packets.

    If a send time is unknown, the mean arrival interval replaces the send interval. Send intervals
    that differ by more than `WILD_S` are left out: single time stamps can be wild.
    """
    if len(arrivals) < 3:
        return None
    even_s = mean(b.at_s - a.at_s for a, b in pairwise(arrivals))
    apart = sorted(
        abs(b.at_s - a.at_s - _sent_apart_s(a, b, even_s)) for a, b in pairwise(arrivals)
    )
    apart = [one for one in apart if one <= WILD_S] or apart
    return apart[int(0.95 * len(apart))]


def clock_offset_s(arrivals: Sequence[Arrival]) -> float | None:
    """Return the camera's clock minus ours, measured at the packet with the shortest delay.

    Times that differ from most by more than `WILD_S` are left out.
    """
    ahead = [arrival.taken_s - arrival.at_s for arrival in arrivals if arrival.taken_s is not None]
    if not ahead:
        return None
    usual = median_low(ahead)
    return max(one for one in ahead if one - usual <= WILD_S)


def _sent_apart_s(a: Arrival, b: Arrival, even_s: float) -> float:
    return even_s if a.sent_s is None or b.sent_s is None else b.sent_s - a.sent_s
