"""Capture times: correct, increasing, and robust against networks and clocks."""

import itertools
from collections.abc import Iterable

import pytest

from pipeline.cameras.capture.timing import CaptureClock, Captured
from pipeline.cameras.values import ClockFault

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


def ages(
    pictures: Iterable[tuple[int | None, int | None, int]], *, skip: int = 50
) -> tuple[int, int, list[Captured]]:
    """Return the largest age at arrival after `skip` pictures, the jumps, and all results."""
    clock, shown = CaptureClock(), list(pictures)
    found = [clock.capture(pts, wall, arrived_us=T0 + at) for pts, wall, at in shown]
    age_us = [T0 + at - one.at_us for (_, _, at), one in zip(shown, found, strict=True)]
    return max(age_us[skip:]), sum(one.jumped for one in found), found


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (125_000, ClockFault.SLOW),
        (80_000, ClockFault.FAST),
        (105_000, ClockFault.SLOW),
        (5_000_000, ClockFault.SLOW),
    ],
)
def test_stamps_of_a_wrong_rate_are_distrusted_and_the_arrival_counts(
    step: int, why: ClockFault
) -> None:
    pictures = [(n * FRAME, None, n * step) for n in range(600)]
    age_us, jumps, found = ages(pictures, skip=250)
    assert (age_us <= 600_000, jumps) == (True, 0)
    assert why in {one.distrusted for one in found}


def test_a_clock_that_was_wrong_for_a_while_is_trusted_again() -> None:
    slow = [(n * FRAME, None, n * 125_000) for n in range(200)]
    right = [(20_000_000 + n * FRAME, None, 25_000_000 + n * FRAME) for n in range(600)]
    _, _, found = ages([*slow, *right])
    assert (found[190].distrusted, found[-1].distrusted) == (ClockFault.SLOW, None)


def test_a_constant_stamp_is_none() -> None:
    age_us, jumps, found = ages([(777, None, n * FRAME) for n in range(600)], skip=0)
    assert (age_us, jumps) == (0, 0)
    assert {one.distrusted for one in found[3:]} == {ClockFault.STILL}


@pytest.mark.parametrize("by_us", [-9_800_000_000, 20_000_000_000, 1_000_000])
@pytest.mark.parametrize("with_reports", [False, True])
def test_single_wild_stamps_are_replaced_and_counted(by_us: int, *, with_reports: bool) -> None:
    offs = [by_us if n % 20 == 13 and n > 20 else 0 for n in range(600)]
    pictures = [
        (n * FRAME + off, T0 + n * FRAME + off if with_reports else None, n * FRAME)
        for n, off in enumerate(offs)
    ]
    age_us, jumps, found = ages(pictures, skip=0)
    assert (age_us, jumps) == (0, 0)
    assert [n for n, one in enumerate(found) if one.redated] == [n for n in range(600) if offs[n]]


def test_stamps_at_random_are_distrusted() -> None:
    stamps = [n * 7_919_000_003 % 90_000_000_011 for n in range(600)]
    age_us, _, found = ages([(pts, None, n * FRAME) for n, pts in enumerate(stamps)])
    assert age_us <= FRAME
    assert found[-1].distrusted is ClockFault.WILD


def test_reports_that_disagree_with_the_step_are_followed() -> None:
    pictures = [(n * FRAME, T0 + n * 125_000, n * 125_000 + 20_000) for n in range(3000)]
    age_us, jumps, found = ages(pictures)
    assert (age_us, jumps) == (20_000, 0)
    assert {one.distrusted for one in found[50:]} == {None}


def test_between_two_reports_the_rate_of_the_last_ones_counts() -> None:
    def wall(n: int) -> int:  # a report every 40 pictures, the nominal step between them
        return T0 + n // 40 * 40 * 125_000 + n % 40 * FRAME

    _, jumps, found = ages([(n * FRAME, wall(n), n * 125_000 + 20_000) for n in range(1000)])
    times = [one.at_us - T0 for one in found]
    assert times[200:] == pytest.approx([n * 125_000 for n in range(200, 1000)], abs=2_000)
    assert jumps == 0


@pytest.mark.parametrize("by_us", [-3_600_000_000, -400_000, 400_000, 3_600_000_000])
@pytest.mark.parametrize("with_steady_clock", [False, True])
def test_our_own_clock_that_is_set_is_one_jump(by_us: int, *, with_steady_clock: bool) -> None:
    clock, ages_us, jumps = CaptureClock(), list[int](), 0
    for n in range(600):
        arrived_us = T0 + n * FRAME + (by_us if n >= 300 else 0)
        steady_us = n * FRAME if with_steady_clock else None
        one = clock.capture(n * FRAME, None, arrived_us=arrived_us, steady_us=steady_us)
        jumps += one.jumped
        ages_us.append(arrived_us - one.at_us)
    assert max(ages_us) < FRAME or not with_steady_clock
    assert ages_us[-1] <= 1000
    assert jumps == (with_steady_clock or abs(by_us) > 1_000_000)


@pytest.mark.parametrize("bits_of_90_khz", [32, 33])
def test_stamps_that_wrap_go_on(bits_of_90_khz: int) -> None:
    ticks = [(2**bits_of_90_khz - 450_000 + n * 9_000) % 2**bits_of_90_khz for n in range(200)]
    stamps = [round(one * 1e6 / 90_000) for one in ticks]
    times, jumps = run(CaptureClock(), [(pts, None, n * FRAME) for n, pts in enumerate(stamps)])
    assert times == pytest.approx([n * FRAME for n in range(200)], abs=2_000)
    assert jumps == 0


def test_two_pictures_that_jump_alike_are_not_believed_three_are() -> None:
    def jumps(count: int) -> int:
        odd = range(300, 300 + count)
        stamps = [n * FRAME + (3_600_000_000 if n in odd else 0) for n in range(400)]
        return run(CaptureClock(), [(pts, None, n * FRAME) for n, pts in enumerate(stamps)])[1]

    assert (jumps(2), jumps(3)) == (0, 1)  # the way back follows too soon to be believed


@pytest.mark.parametrize("every", [20, 100, 130, 250])
def test_stamps_that_jump_again_and_again_begin_few_epochs(every: int) -> None:
    stamps = [n % every * FRAME for n in range(3000)]  # they start again, at each keyframe say
    age_us, jumps, found = ages([(pts, None, n * FRAME) for n, pts in enumerate(stamps)])
    assert (age_us, jumps <= 3) == (0, True)
    assert found[-1].distrusted is ClockFault.WILD


def test_a_clock_that_is_set_now_and_then_is_believed_each_time() -> None:
    stamps = [n * FRAME + n // 7000 * 3_600_000_000 for n in range(28_000)]  # every 12 minutes
    assert ages([(pts, None, n * FRAME) for n, pts in enumerate(stamps)])[1] == 3
