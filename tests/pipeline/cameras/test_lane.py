"""A queue that is full loses whole groups of units, and the newest pictures stay."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.broker.shots import ShotKind
from pipeline.cameras.lane import LANE_BYTES, LANE_SHOTS, LANE_UNITS, Cuts, Lane
from pipeline.cameras.values import PictureFate
from tests.pipeline.cameras.groups import RUNS, groups, out_of_the_middle, shot, shots

EXPIRED = PictureFate.EXPIRED


def test_of_pictures_the_oldest_go_one_by_one() -> None:
    lane, posted = Lane(), shots([(False, LANE_SHOTS + 5)])
    assert [lane.put(one) for one in posted] == [0] * LANE_SHOTS + [1] * 5
    assert lane.take_all() == posted[5:]


def test_of_units_the_oldest_group_goes() -> None:
    lane, posted = Lane(), shots([(True, 30)] * 40)
    gone = sum(lane.put(one) for one in posted)
    left = lane.take_all()
    assert (gone % 30, len(left)) == (0, len(posted) - gone)
    assert LANE_UNITS - 30 < len(left) <= LANE_UNITS
    assert groups(left)[0] == list(range(gone, gone + 30))


def test_a_group_that_fills_the_lane_goes_with_all_that_comes_of_it_later() -> None:
    lane = Lane()
    group = shots([(True, LANE_UNITS + 5), (True, 2)])
    assert sum(lane.put(one) for one in group) == LANE_UNITS + 5
    assert lane.take_all() == group[-2:]


def test_units_whose_keyframe_was_taken_before_go_when_one_between_is_dropped() -> None:
    lane = Lane()
    lane.put(shot(0, ShotKind.KEYFRAME))
    lane.take_all()
    half = LANE_BYTES // 2
    assert lane.put(shot(1, ShotKind.UNIT, size=half)) == 0
    assert lane.put(shot(2, ShotKind.UNIT, size=half + 1)) == 2
    assert lane.put(shot(3, ShotKind.UNIT)) == 1
    assert lane.put(shot(4, ShotKind.KEYFRAME)) == 0


def test_a_lane_has_room_until_it_is_half_full_by_number_or_by_bytes() -> None:
    lane, large = Lane(), Lane()
    for one in shots([(True, LANE_SHOTS // 2)]):
        assert lane.has_room
        lane.put(one)
    large.put(shot(0, ShotKind.KEYFRAME, size=LANE_BYTES // 2))
    assert (lane.has_room, large.has_room) == (False, False)


@given(runs=RUNS, sizes=st.lists(st.sampled_from([1, LANE_BYTES // 5]), min_size=96, max_size=96))
def test_no_unit_leaves_a_lane_without_the_one_before(
    runs: list[tuple[bool, int]], sizes: list[int]
) -> None:
    lane, taken, gone = Lane(), [], 0
    posted = shots(runs)
    for one, size in zip(posted, sizes, strict=False):
        gone += lane.put(shot(one.seq, one.kind, size=size))
        if one.seq % 7 == 3:
            taken += lane.take_all()
    taken += lane.take_all()
    assert len(taken) == len(posted) - gone
    assert out_of_the_middle(taken) == []


def test_what_continues_a_dropped_shot_ends_like_it_until_a_keyframe_comes() -> None:
    cuts, kinds = Cuts(), [ShotKind.KEYFRAME, ShotKind.UNIT, ShotKind.UNIT]
    posted = [shot(n, kind) for n, kind in enumerate(kinds * 2)]
    assert [cuts.fate_of(n, one) for n, one in enumerate(posted[:2])] == [None, None]
    cuts.drop("gate", 1, EXPIRED)
    assert [cuts.fate_of(n, one) for n, one in enumerate(posted[2:], 2)] == [EXPIRED, *[None] * 3]


def test_a_drop_before_the_newest_keyframe_hurts_no_one_after_it() -> None:
    cuts = Cuts()
    for n, one in enumerate(shots([(True, 3), (True, 1)])):
        assert cuts.fate_of(n, one) is None
    cuts.drop("gate", 2, EXPIRED)
    assert cuts.fate_of(4, shot(4, ShotKind.UNIT)) is None


def test_streams_are_cut_apart() -> None:
    cuts = Cuts()
    cuts.drop("gate", 1, EXPIRED)
    assert cuts.fate_of(2, shot(2, ShotKind.UNIT)) is EXPIRED
    assert cuts.fate_of(3, shot(3, ShotKind.UNIT, stream="yard")) is None
