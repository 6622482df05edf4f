"""Capture times: correct, increasing, and robust against networks and clocks."""

import itertools
from collections.abc import Iterable

import pytest

from pipeline.cameras.capture.timing import CaptureClock

T0 = 1_700_000_000_000_000
FRAME = 100_000


def run(
    clock: CaptureClock, pictures: Iterable[tuple[int | None, int | None, int]]
) -> tuple[list[int], int]:
    """Return capture times since T0, and jumps. Each picture: time stamp, wall clock, arrival."""
    found = [clock.capture(pts, wall, arrived_us=T0 + at) for pts, wall, at in pictures]
    return [one.at_us - T0 for one in found], sum(one.jumped for one in found)


def test_without_time_stamps_a_picture_was_taken_when_it_came() -> None:
    assert run(CaptureClock(), [(None, None, 0), (None, None, 70_000)]) == ([0, 70_000], 0)


def test_time_stamps_take_the_networks_jitter_out() -> None:
    jitter = [5_000, 80_000, 0, 30_000, 90_000, 10_000] * 20
    times, jumps = run(
        CaptureClock(), [(n * FRAME, None, n * FRAME + late) for n, late in enumerate(jitter)]
    )
    settled = times[40:]
    steps = [after - before for before, after in itertools.pairwise(settled)]
    assert steps == pytest.approx([FRAME] * len(steps), abs=500)
    assert settled[0] == pytest.approx(40 * FRAME, abs=2_000)
    assert jumps == 0


def test_the_cameras_wall_clock_is_believed_while_it_is_near_ours() -> None:
    pictures = [(n * FRAME, T0 + n * FRAME - 40_000, n * FRAME) for n in range(50)]
    times, jumps = run(CaptureClock(), pictures)
    assert times[-1] == 49 * FRAME - 40_000
    assert jumps == 0


@pytest.mark.parametrize("off_us", [3_600_000_000, -3_600_000_000, 5_000_000])
def test_a_wall_clock_that_is_wrong_is_ignored(off_us: int) -> None:
    pictures = [(n * FRAME, T0 + n * FRAME + off_us, n * FRAME + 3_000) for n in range(50)]
    times, jumps = run(CaptureClock(), pictures)
    assert times[-1] == pytest.approx(49 * FRAME + 3_000, abs=2_000)
    assert jumps == 0


def test_a_wall_clock_that_comes_later_moves_times_slowly() -> None:
    pictures = [
        (n * FRAME, T0 + n * FRAME - 300_000 if n > 30 else None, n * FRAME) for n in range(200)
    ]
    times, jumps = run(CaptureClock(), pictures)
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert min(steps) >= 0.94 * FRAME
    assert (times[-1], jumps) == (199 * FRAME - 300_000, 0)


def test_a_burst_after_connecting_is_no_jump() -> None:
    burst = [(n * FRAME, None, 1_000 * n) for n in range(20)]
    rest = [(n * FRAME, None, (n - 19) * FRAME) for n in range(20, 60)]
    times, jumps = run(CaptureClock(), [*burst, *rest])
    assert jumps == 0
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(40 * FRAME, abs=5_000)


def test_a_network_that_stands_still_and_catches_up_is_no_jump() -> None:
    late = [max(0, 8_000_000 - n * FRAME) if n > 30 else 0 for n in range(120)]
    times, jumps = run(
        CaptureClock(), [(n * FRAME, None, n * FRAME + wait) for n, wait in enumerate(late)]
    )
    assert jumps == 0
    assert times == pytest.approx([n * FRAME for n in range(120)], abs=3_000)


@pytest.mark.parametrize("by_us", [-3_600_000_000, -1_000_000, 3_000_000, 3_600_000_000])
def test_time_stamps_that_jump_are_told_once_and_times_go_on(by_us: int) -> None:
    pictures = [(n * FRAME + (by_us if n >= 40 else 0), None, n * FRAME) for n in range(80)]
    times, jumps = run(CaptureClock(), pictures)
    assert jumps == 1
    assert times == pytest.approx([n * FRAME for n in range(80)], abs=2_000)


def test_time_stamps_slightly_out_of_order_are_no_jump() -> None:
    order = [0, 1, 3, 2, 5, 4, 6]
    times, jumps = run(
        CaptureClock(), [(n * 40_000, None, 40_000 * i) for i, n in enumerate(order)]
    )
    assert jumps == 0
    assert times == sorted(set(times))


def test_our_own_clock_set_back_is_a_jump() -> None:
    arrivals = [n * FRAME for n in range(10)] + [n * FRAME - 60_000_000 for n in range(10, 20)]
    times, jumps = run(CaptureClock(), [(None, None, at) for at in arrivals])
    assert jumps == 1
    assert times[10:] == arrivals[10:]


def test_a_new_connection_begins_its_time_stamps_anew_and_goes_forward() -> None:
    clock = CaptureClock()
    run(clock, [(n * FRAME, None, n * FRAME) for n in range(30)])
    clock.connected()
    times, jumps = run(clock, [(n * FRAME, None, 5_000_000 + n * FRAME) for n in range(5)])
    assert (times, jumps) == ([5_000_000 + n * FRAME for n in range(5)], 0)


def test_a_cheap_clock_that_runs_slow_is_followed() -> None:
    slow = 1 - 100e-6
    pictures = [(round(n * FRAME * slow), None, n * FRAME) for n in range(36_000)]  # an hour
    times, jumps = run(CaptureClock(), pictures)
    assert jumps == 0
    assert times[-1] == pytest.approx(35_999 * FRAME, abs=1_000)
