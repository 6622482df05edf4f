"""The arrival times of pictures: bursts are dated back, segments are played at their rate."""

import pytest

from pipeline.cameras.capture.pacing import MOST_PICTURES, Burst, paced
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import ManualClock
from tests.pipeline.cameras.scene import START_S, Pause

FRAME = 100_000


def picture(pts_us: int | None, wall_us: int | None = None) -> Picture:
    return Picture(64, 48, jpeg=b"", pts_us=pts_us, wall_us=wall_us)


def test_pictures_are_held_until_one_had_to_be_waited_for_and_dated_back_from_it() -> None:
    burst = Burst()
    assert [list(burst.add(picture(n * FRAME), waited_s=0)) for n in range(4)] == [[]] * 4
    held = burst.add(picture(4 * FRAME), waited_s=0.1)
    assert [one.late_us for one in held] == [4 * FRAME, 3 * FRAME, 2 * FRAME, FRAME, 0]
    assert list(burst.add(picture(5 * FRAME), waited_s=0)) == [picture(5 * FRAME)]


def test_a_camera_that_sends_as_we_connect_is_not_held_back() -> None:
    assert list(Burst().add(picture(0), waited_s=0.1)) == [picture(0)]


def test_a_server_that_goes_on_and_on_is_held_back_for_a_while_only() -> None:
    burst = Burst()
    taken = [len(burst.add(picture(n * FRAME), waited_s=0)) for n in range(MOST_PICTURES + 1)]
    assert taken == [0] * (MOST_PICTURES - 1) + [MOST_PICTURES, 1]


def test_at_the_end_nothing_is_held_back() -> None:
    burst = Burst()
    burst.add(picture(0), waited_s=0)
    assert [one.pts_us for one in burst.end()] == [0]
    assert list(burst.end()) == []


def test_what_the_last_knows_of_the_cameras_clock_all_know() -> None:
    burst = Burst()
    burst.add(picture(0), waited_s=0)
    held = burst.add(picture(FRAME, wall_us=7_000_000 + FRAME), waited_s=0.1)
    assert [one.wall_us for one in held] == [7_000_000, 7_000_000 + FRAME]


def test_a_first_picture_without_time_stamp_comes_a_step_before_the_next() -> None:
    burst = Burst()
    for pts_us in (None, 3 * FRAME):
        burst.add(picture(pts_us), waited_s=0)
    held = burst.add(picture(4 * FRAME), waited_s=0.1)
    assert [one.pts_us for one in held] == [2 * FRAME, 3 * FRAME, 4 * FRAME]


def test_without_any_time_stamps_pictures_go_on_as_they_are() -> None:
    burst = Burst()
    burst.add(picture(None), waited_s=0)
    assert list(burst.add(picture(None), waited_s=0.1)) == [picture(None), picture(None)]


def played(stamps_us: list[int | None]) -> list[float]:
    """Return when pictures come out, in seconds since the start."""
    clock = ManualClock(START_S)
    what = [PictureFate.DAMAGED if us is None else picture(us) for us in stamps_us]
    return [
        round(clock.time() - START_S, 3) for _ in paced(iter(what), clock=clock, stop=Pause(clock))
    ]


def test_what_comes_in_pieces_is_played_at_its_rate() -> None:
    assert played([0, FRAME, 2 * FRAME, None, 3 * FRAME]) == [0, 0.1, 0.2, 0.2, 0.3]


def test_a_jump_of_its_times_is_not_waited_through() -> None:
    assert played([0, FRAME, 3_600_000_000, 3_600_100_000, 0]) == [0, 0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize("wild", [-9_800_000_000, 20_000_000_000])
@pytest.mark.parametrize("at", [0, 2])
def test_a_wild_time_stamp_in_a_burst_dates_no_other_picture(wild: int, at: int) -> None:
    burst = Burst()
    for n in range(4):
        burst.add(picture(n * FRAME + (wild if n == at else 0)), waited_s=0)
    held = burst.add(picture(4 * FRAME), waited_s=0.1)
    late = [4 * FRAME, 3 * FRAME, 2 * FRAME, FRAME, 0]
    late[at] = late[at + 1]
    assert [one.late_us for one in held] == late
