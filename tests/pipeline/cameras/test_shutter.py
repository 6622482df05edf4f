"""Which pictures become shots, and the fields of a shot."""

from dataclasses import replace

import pytest

from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.values import NewEpoch, Picture, PictureFate
from pipeline.media.pictures import Fit, decode_picture, picture_size
from pipeline.media.video.outcomes import StorableUnit, Unstorable
from tests.pipeline.cameras.scene import START_US, decoded, encoded, filmed

JUMP = 3_600_000_000
REORDERED = Unstorable("its pictures may be reordered")


def shutter(**limits: object) -> Shutter:
    return Shutter("gate", Exposure(**limits), epoch_s=1_700_000_000)  # type: ignore[arg-type]


def take(one: Shutter, picture: Picture) -> Shot:
    shot = one.take(picture, arrived_us=START_US)
    assert isinstance(shot, Shot)
    return shot


def test_a_shot_is_a_jpeg_with_its_counter_and_the_cameras_start() -> None:
    one = shutter()
    take(one, decoded(at_us=START_US))
    shot = take(one, decoded(at_us=START_US + 100_000))
    assert decode_picture(shot.content, Fit(48, 64, "stretch")).shape == (48, 64, 3)
    assert dict(shot.headers) == {
        "captured-at": b"1700000000350.000",
        "seq": b"1",
        "epoch": b"1700000000",
        "content-type": b"image/jpeg",
    }


def test_a_cameras_own_jpeg_is_passed_on_untouched() -> None:
    picture = encoded(grey=90, at_us=START_US)
    assert take(shutter(), picture).content == picture.jpeg


def test_a_jpeg_above_the_limit_is_made_smaller_in_its_shape() -> None:
    shot = take(shutter(size=(32, 32)), encoded(width=96, height=48, at_us=START_US))
    assert picture_size(shot.content) == (32, 16)


def test_a_picture_within_the_limit_is_not_made_larger() -> None:
    assert picture_size(take(shutter(size=(640, 480)), decoded(at_us=START_US)).content) == (64, 48)


def test_fps_leaves_frames_out_and_seq_counts_what_is_left() -> None:
    one = shutter(fps=5)
    taken = [one.take(decoded(at_us=START_US + n * 66_667), arrived_us=0) for n in range(16)]
    shots = [shot for shot in taken if isinstance(shot, Shot)]
    assert [shot.seq for shot in shots] == [0, 1, 2, 3, 4, 5]
    assert taken.count(PictureFate.THINNED) == 10


def test_fps_at_the_true_rate_leaves_nothing_out() -> None:
    one = shutter(fps=15)
    taken = [one.take(decoded(at_us=START_US + n * 66_667), arrived_us=0) for n in range(150)]
    assert taken.count(PictureFate.THINNED) <= 1


def test_a_picture_that_does_not_decode_is_damaged() -> None:
    one = shutter(frozen_s=10)
    half = encoded(at_us=START_US)
    cut = Picture(64, 48, jpeg=(half.jpeg or b"")[:200], captured_us=START_US)
    assert one.take(cut, arrived_us=START_US) is PictureFate.DAMAGED


def test_another_size_begins_another_epoch() -> None:
    one = shutter()
    before = take(one, decoded(at_us=START_US))
    assert (one.take_new_epoch(), before.epoch) == (NewEpoch.START, 1_700_000_000)
    after = take(one, decoded(width=80, at_us=START_US + 100_000))
    assert (one.take_new_epoch(), after.epoch) == (NewEpoch.SIZE, 1_700_000_001)
    assert after.seq == before.seq + 1


def test_a_jump_of_the_cameras_clock_begins_another_epoch_with_the_right_time() -> None:
    one, shots = shutter(), list[Shot]()
    for n, pts_us in enumerate([0, 100_000, 200_000, *(JUMP + n * 100_000 for n in range(3))]):
        picture = Picture(64, 48, frame=decoded(at_us=0).frame, pts_us=pts_us)
        shot = one.take(picture, arrived_us=START_US + n * 100_000 + (n > 2) * 3_000_000)
        assert isinstance(shot, Shot)
        shots.append(shot)
    assert (one.take_new_epoch(), shots[-1].epoch) == (NewEpoch.CLOCK, 1_700_000_003)
    assert shots[-1].captured_us == START_US + 3_500_000


@pytest.mark.parametrize("make", [decoded, encoded])
def test_a_picture_that_stands_still_is_withheld_until_it_moves(make: type) -> None:
    one = shutter(frozen_s=2)
    greys = [10, 10, 10, 10, 10, 10, 200, 200]
    taken = [
        one.take(make(grey, at_us=START_US + n * 500_000), arrived_us=0)
        for n, grey in enumerate(greys)
    ]
    assert [one is PictureFate.FROZEN for one in taken] == [False] * 4 + [True] * 2 + [False] * 2
    assert isinstance(taken[-1], Shot)
    assert taken[-1].seq == 5


def unit(number: int) -> StorableUnit:
    return StorableUnit(b"unit %d" % number, number)


def group(one: Shutter, grey: int, *, at_s: float) -> list[Shot | PictureFate]:
    """Take a group of four units, two a second."""
    times_us = [START_US + round((at_s + n / 2) * 1e6) for n in range(4)]
    pictures = [filmed(unit(n), grey, at_us=at_us) for n, at_us in enumerate(times_us)]
    return [one.take(picture, arrived_us=0) for picture in pictures]


def test_a_unit_is_published_as_it_is_with_the_headers_of_one() -> None:
    one = shutter(obstacle=None)
    key = take(one, filmed(unit(0), at_us=START_US))
    next_one = take(one, filmed(unit(1), at_us=START_US + 100_000))
    assert (key.content, key.kind, next_one.kind) == (b"unit 0", ShotKind.KEYFRAME, ShotKind.UNIT)
    assert dict(key.headers) == {
        "captured-at": b"1700000000250.000",
        "seq": b"0",
        "epoch": b"1700000000",
        "content-type": b"video/h264",
        "keyframe": b"1",
    }
    assert dict(next_one.headers)["content-type"] == b"video/h264"
    assert "keyframe" not in dict(next_one.headers)


def test_by_default_units_become_jpegs() -> None:
    shot = take(shutter(), filmed(unit(0), at_us=START_US))
    assert shot.kind is ShotKind.PICTURE
    assert picture_size(shot.content) == (64, 48)


def test_each_change_between_units_and_jpegs_begins_an_epoch() -> None:
    one, epochs, why = shutter(obstacle=None), list[int](), list[NewEpoch | None]()
    sent: list[StorableUnit | Unstorable] = [REORDERED, unit(0), unit(1), REORDERED, REORDERED]
    for n, found in enumerate(sent):
        epochs.append(take(one, filmed(found, at_us=START_US + n * 100_000)).epoch - 1_700_000_000)
        why.append(one.take_new_epoch())
    assert epochs == [0, 1, 1, 2, 2]
    assert why == [NewEpoch.START, NewEpoch.CONTENT, None, NewEpoch.CONTENT, None]


def test_units_without_the_one_before_are_unkeyed_and_seq_counts_what_is_left() -> None:
    one, sent = shutter(obstacle=None), [unit(0), unit(1), unit(3), unit(4), unit(0)]
    taken = [
        one.take(filmed(found, at_us=START_US + n * 100_000), arrived_us=0)
        for n, found in enumerate(sent)
    ]
    assert [getattr(found, "seq", found) for found in taken] == [
        0,
        1,
        PictureFate.UNKEYED,
        PictureFate.UNKEYED,
        2,
    ]


def test_a_still_picture_withholds_whole_groups_of_units() -> None:
    one = shutter(obstacle=None, frozen_s=3)
    taken = [*group(one, 7, at_s=0), *group(one, 7, at_s=2)]
    assert all(isinstance(found, Shot) for found in taken)  # still for 3 s in the middle of a group
    assert group(one, 7, at_s=4) == [PictureFate.FROZEN] * 4
    middle = one.take(filmed(unit(4), 200, at_us=START_US + 6_000_000), arrived_us=0)
    assert middle is PictureFate.FROZEN
    moving = group(one, 200, at_s=6.5)
    assert [getattr(found, "seq", None) for found in moving] == [8, 9, 10, 11]


def test_another_size_of_units_begins_an_epoch_with_its_keyframe() -> None:
    one = shutter(obstacle=None)
    take(one, filmed(unit(0), at_us=START_US))
    shot = take(one, filmed(unit(0), width=80, at_us=START_US + 100_000))
    assert (shot.epoch, shot.kind) == (1_700_000_001, ShotKind.KEYFRAME)


def test_units_after_a_jump_of_the_clock_wait_for_a_keyframe() -> None:
    one, taken = shutter(obstacle=None), list[Shot | PictureFate]()
    stamps = [0, 100_000, *(JUMP + n * 100_000 for n in range(5))]
    for n, (pts_us, found) in enumerate(zip(stamps, [*range(6), 0], strict=True)):
        picture = filmed(unit(found), at_us=0)
        stamped = replace(picture, captured_us=None, pts_us=pts_us)
        taken.append(one.take(stamped, arrived_us=START_US + n * 100_000))
    jumped = taken.index(PictureFate.UNKEYED)
    assert taken[jumped:-1] == [PictureFate.UNKEYED] * (6 - jumped)
    assert isinstance(taken[-1], Shot)
    assert taken[-1].epoch > 1_700_000_000
