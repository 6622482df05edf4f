"""The statistics of arrival times, without a camera."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.cameras.probing.arrivals import Arrival, clock_offset_s, gop_frames, jitter_s, rate_hz


def arrivals(
    at_s: list[float], sent_s: list[float] | None = None, keyframes: str = "", ahead_s: float = 0.0
) -> list[Arrival]:
    sent: Sequence[float | None] = sent_s or [None] * len(at_s)
    marks = keyframes.ljust(len(at_s), ".")
    return [
        Arrival(at_s=at, sent_s=when, taken_s=at + ahead_s, size_bytes=1, keyframe=mark == "K")
        for at, when, mark in zip(at_s, sent, marks, strict=True)
    ]


def test_a_rate_counts_the_intervals() -> None:
    assert rate_hz([10.0, 10.1, 10.2, 10.5]) == pytest.approx(6.0)
    assert rate_hz([10.0]) is None
    assert rate_hz([10.0, 10.0]) is None


@pytest.mark.parametrize(
    ("keyframes", "frames"), [("K...K...K", 4), ("KKKK", 1), ("..K...", None), ("K..K....K..K", 3)]
)
def test_a_gop_goes_from_keyframe_to_keyframe(keyframes: str, frames: int | None) -> None:
    times_s = [0.1 * n for n in range(len(keyframes))]
    assert gop_frames(arrivals(times_s, keyframes=keyframes)) == frames


def test_jitter_is_measured_against_the_times_that_were_sent() -> None:
    uneven_s = [0.0, 0.1, 0.4, 0.5]
    assert jitter_s(arrivals([5 + t for t in uneven_s], uneven_s)) == pytest.approx(0)
    late_s = [5.0, 5.13, 5.4, 5.5]
    assert jitter_s(arrivals(late_s, uneven_s)) == pytest.approx(0.03)


def test_jitter_without_times_is_measured_against_an_even_pace() -> None:
    assert jitter_s(arrivals([0.0, 0.1, 0.2, 0.5, 0.6])) == pytest.approx(0.15)
    assert jitter_s(arrivals([0.0, 0.1])) is None


def test_the_quickest_packet_tells_the_clock() -> None:
    slow = arrivals([1.0], ahead_s=-3.2)
    quick = arrivals([2.0], ahead_s=-3.0)
    assert clock_offset_s(slow + quick) == pytest.approx(-3.0)
    assert clock_offset_s([]) is None


def test_a_wild_time_stamp_is_neither_jitter_nor_the_clock() -> None:
    at_s = [n / 10 for n in range(100)]
    sent_s = [at + (9_800 if n % 20 == 13 else 0) for n, at in enumerate(at_s)]
    wild = [
        replace(one, taken_s=one.sent_s)
        for one in arrivals([5 + at for at in at_s], [5 + sent for sent in sent_s])
    ]
    assert jitter_s(wild) == pytest.approx(0, abs=1e-6)
    assert clock_offset_s(wild) == pytest.approx(0, abs=1e-6)
