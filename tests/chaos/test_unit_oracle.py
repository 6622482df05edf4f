"""The oracle's rules of units, one by one; and half of the cameras publish units."""

import pytest

from tests.chaos.clips import cut_film
from tests.chaos.unit_cameras import ROUND, UnitCamera, mixed_cameras
from tests.chaos.unit_oracle import UnitGroups, begins_with_keyframe, is_unit

GROUP = 6


def fates(*units: tuple[int, int], keyframe_s: float = 60.0, epochs: bool = False) -> str:
    """Decode units, given by `seq` and their number in the film, 100 ms apart.

    Returns a letter for each: p for a picture, d for a dead letter, u for unkeyed.
    """
    groups, film = UnitGroups(keyframe_s), cut_film(0, GROUP)
    came = ""
    for at, (seq, number) in enumerate(units):
        decoded = groups.decode(
            "gate", film[number], 100 * at, seq=seq, epoch=seq if epochs else None
        )
        came += decoded[0] if isinstance(decoded, str) else "p"
    return came


def counted(*numbers: int) -> list[tuple[int, int]]:
    """Number units as a camera does that has lost the others."""
    return [(number, number) for number in numbers]


def test_every_unit_of_a_whole_film_has_a_picture() -> None:
    assert fates(*counted(*range(48))) == 48 * "p"


def test_a_group_that_is_joined_late_waits_for_a_keyframe() -> None:
    assert fates(*counted(3, 4, 5, 6, 7)) == "uuupp"


def test_a_lost_unit_ends_its_group() -> None:
    assert fates(*counted(0, 1, 3, 4, 5, 6)) == "ppduup"
    assert fates((0, 0), (1, 1), (2, 3), (3, 4), (4, 6)) == "ppdup"


def test_swapped_units_end_their_group() -> None:
    assert fates(*counted(0, 2, 1, 3, 6)) == "pduup"


def test_a_repeated_unit_is_not_decoded_and_ends_nothing() -> None:
    assert fates(*counted(0, 1, 1, 0, 2)) == "ppddp"


def test_a_unit_of_an_earlier_epoch_is_not_decoded() -> None:
    assert fates(*counted(6, 0, 7), epochs=True) == "pdp"


def test_a_unit_needs_a_keyframe_that_is_not_too_old() -> None:
    assert fates(*counted(*range(8)), keyframe_s=0.3) == "ppppuupp"


@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.9])
def test_a_cut_unit_ends_its_group(kept: float) -> None:
    groups, film = UnitGroups(60), cut_film(0, GROUP)
    cut = film[1][: int(kept * len(film[1])) if kept < 1 else 30]
    came = [groups.decode("gate", u, 0, seq=None, epoch=None) for u in (film[0], cut, film[2])]
    assert came[1:] == ["dead_lettered", "unkeyed"]


def test_only_an_idr_picture_with_its_sets_is_a_keyframe() -> None:
    film = cut_film(0, GROUP)
    assert [begins_with_keyframe(unit) for unit in film[:7]] == [True, *5 * [False], True]
    assert not begins_with_keyframe(film[0][film[0].find(b"\x00\x00\x01\x65") :])
    assert not begins_with_keyframe(b"no unit")


def test_a_picture_is_no_unit_whatever_its_content_type() -> None:
    h264 = {"content-type": b"video/h264"}
    assert is_unit(cut_film(0, GROUP)[0], h264)
    assert not is_unit(b"\xff\xd8\xff", h264)
    assert not is_unit(cut_film(0, GROUP)[0], {"content-type": b"image/jpeg"})


def test_half_of_the_cameras_publish_units_and_each_partition_has_both_kinds() -> None:
    kinds = [isinstance(camera, UnitCamera) for camera in mixed_cameras(24, seed=1)]
    assert sum(kinds) == 12
    assert all(len(set(kinds[number::ROUND])) == 2 for number in range(ROUND))
