"""Frames that come as two fields, each in a unit of its own."""

import av
import numpy as np
import pytest

from pipeline.media.video.outcomes import Broken, Decoded, Outcome
from pipeline.media.video.regrouping import Regrouper, TimedUnit
from pipeline.media.video.strict_decoder import StrictDecoder
from pipeline.media.video.unit_decoder import UnitDecoder
from tests.pipeline.media.video.encoding import fates
from tests.pipeline.media.video.fields import film

GREYS = [40, 60, 80, 100, 120]


def decoded(units: list[bytes]) -> list[Outcome]:
    """Decode packets as they come over a network."""
    regrouper = Regrouper("h264")
    decoder = UnitDecoder("h264", av.VideoCodecContext.create("h264", "r"))
    packets = [one for unit in units for one in regrouper.add(TimedUnit(unit))]
    outcomes = [one for unit in [*packets, *regrouper.end()] for one in decoder.feed(unit)]
    return [*outcomes, *decoder.end()]


def greys(outcomes: list[Outcome]) -> list[tuple[int, int]]:
    """Return the grey of the even and of the odd rows of each picture."""
    found = list[tuple[int, int]]()
    for one in outcomes:
        if isinstance(one, Decoded):
            luma = one.picture.to_ndarray()[:32]
            assert all(len(np.unique(luma[row::2])) == 1 for row in (0, 1))
            found.append((int(luma[0, 0]), int(luma[1, 0])))
    return found


def test_two_fields_are_one_picture() -> None:
    outcomes = decoded(film(GREYS))
    assert fates(outcomes) == "5 picture"
    assert greys(outcomes) == [(grey, grey + 1) for grey in GREYS]


def test_both_fields_in_one_packet_are_one_picture() -> None:
    units = film(GREYS)
    outcomes = decoded([units[n] + units[n + 1] for n in range(0, 10, 2)])
    assert greys(outcomes) == [(grey, grey + 1) for grey in GREYS]


@pytest.mark.parametrize(
    ("lost", "right", "expected"),
    [
        (2, 1, "1 picture, 1 broken, 6 unkeyed"),
        (3, 1, "1 picture, 1 broken, 6 unkeyed"),
        (9, 4, "4 picture, 1 broken"),
    ],
)
def test_no_half_picture_is_shown(lost: int, right: int, expected: str) -> None:
    units = film(GREYS)
    outcomes = decoded([*units[:lost], *units[lost + 1 :]])
    assert greys(outcomes) == [(grey, grey + 1) for grey in GREYS[:right]]
    assert fates(outcomes) == expected


def test_a_stored_unit_must_not_be_a_field() -> None:
    outcome = StrictDecoder("h264").feed(film(GREYS)[0])
    assert outcome == Broken("a field of a picture, not a frame")
