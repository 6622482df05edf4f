"""Pictures of cameras and files: in presentation order, and never one that stands on damage."""

from contextlib import suppress
from dataclasses import replace
from random import Random

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.headers.h264_unit import H264Unit
from pipeline.media.video.outcomes import Broken, Decoded, Unkeyed
from pipeline.media.video.regrouping import TimedUnit
from pipeline.media.video.strictness import make_strict
from pipeline.media.video.unit_decoder import UnitDecoder
from tests.pipeline.media.video.damage import (
    MISPLACED,
    Change,
    changed,
    cut,
    drop,
    lose_slice,
    spoiled,
)
from tests.pipeline.media.video.encoding import (
    FRAMES,
    GROUP,
    H264,
    HEVC,
    digest,
    encoded,
    fates,
    followed,
    numbered,
    right,
    shown,
    stored,
    wrong,
)
from tests.pipeline.media.video.fields import nal


@pytest.mark.parametrize("name", H264 + HEVC)
def test_an_undamaged_stream_gives_every_picture_in_order(name: str) -> None:
    assert shown(followed(name, numbered(name))) == list(right(name).items())
    assert len(right(name)) == FRAMES


@given(name=st.sampled_from(H264 + HEVC), changes=MISPLACED)
@settings(max_examples=120, deadline=None)
def test_no_picture_is_wrong_whatever_units_are_missing_or_misplaced(
    name: str, changes: list[Change]
) -> None:
    units = changed(numbered(name), changes)
    outcomes = followed(name, units)
    assert wrong(name, outcomes) == []
    assert len(outcomes) == len(units)


@pytest.mark.parametrize("name", ["cabac", "cavlc", "slices", "mbaff", "hevc"])
def test_after_a_lost_unit_no_picture_comes_until_the_next_keyframe(name: str) -> None:
    outcomes = followed(name, drop(numbered(name), 5))
    assert fates(outcomes) == "5 picture, 1 broken, 3 unkeyed, 30 picture"


@pytest.mark.parametrize(
    ("bare", "found"),
    [
        ((20,), "15 picture, 1 broken, 13 unkeyed, 10 picture"),
        ((10, 20, 30), "15 picture, 1 broken, 3 unkeyed, 20 picture"),
    ],
    ids=["repeated", "sent once"],
)
def test_after_a_loss_sets_that_are_repeated_must_come_again_with_h265(
    bare: tuple[int, ...], found: str
) -> None:
    units = [(n, without_sets(one) if n in bare else one) for n, one in numbered("hevc")]
    assert fates(followed("hevc", drop(units, 15))) == found


def without_sets(unit: bytes) -> bytes:
    """Take the parameter sets out of a unit of H.265."""
    found = [unit[begin:end] for begin, end in nals(unit)]
    return b"".join(START + one for one in found if one[0] >> 1 not in (32, 33, 34))


def test_after_a_loss_an_open_group_begins_with_its_keyframe_not_with_what_leads_to_it() -> None:
    outcomes = followed("open groups", numbered("open groups")[4:])
    order = list(right("open groups"))
    key = next(n for n, unit in numbered("open groups")[4:] if _recovers(unit))
    leading = [number for number in order[: order.index(key)] if number > key]
    assert leading  # pictures that are decoded after the keyframe, and shown before it
    assert [number for number, _ in shown(outcomes)] == order[order.index(key) :]
    assert not any(isinstance(one, Broken) for one in outcomes)
    assert wrong("open groups", outcomes) == []


def test_a_gradual_refresh_is_waited_for() -> None:
    outcomes = followed("gradual refresh", numbered("gradual refresh")[1:])
    assert wrong("gradual refresh", outcomes) == []
    begun = next(n for n, unit in numbered("gradual refresh")[1:] if _recovers(unit))
    first = shown(outcomes)[0][0]
    assert begun < first <= begun + GROUP
    assert fates(outcomes) == f"{first - 1} unkeyed, {FRAMES - first} picture"


def _recovers(unit: bytes) -> bool:
    return H264Unit.of(unit).recovery_frames is not None


def test_a_picture_before_a_damaged_one_that_is_decoded_after_it_is_withheld() -> None:
    units = numbered("reordered slices")
    lost = [one for one in range(FRAMES) if wrong_if_trusted(one)]
    assert lost  # else this test shows nothing
    for number in lost:
        outcomes = followed("reordered slices", lose_slice(units, number))
        assert wrong("reordered slices", outcomes) == []


def wrong_if_trusted(number: int) -> bool:
    """Whether libav, at its strictest, shows a wrong picture before it reports the lost slice."""
    decoder = av.VideoCodecContext.create("h264", "r")
    make_strict(decoder)
    with suppress(av.FFmpegError):
        for n, unit in lose_slice(numbered("reordered slices"), number):
            packet = av.Packet(unit)
            packet.pts = packet.dts = n
            for frame in decoder.decode(packet):
                if frame.is_corrupt or digest(frame) != right("reordered slices")[frame.pts or 0]:
                    return not frame.is_corrupt
    return False


@pytest.mark.parametrize("name", ["cabac", "cavlc", "slices", "mbaff", "hevc checksums"])
def test_units_that_are_cut_anywhere_are_found_nearly_always(name: str) -> None:
    found = 0
    for seed in range(40):
        rng = Random(seed)  # noqa: S311 - reproducible on purpose
        outcomes = followed(name, cut(numbered(name), rng.randrange(1, FRAMES), rng))
        found += not wrong(name, outcomes)
    assert found >= 39  # the last bytes of a unit can be missing without a sign


@pytest.mark.parametrize("name", ["cavlc", "gradual refresh cavlc"])
def test_a_unit_that_lacks_a_part_of_its_middle_is_found(name: str) -> None:
    for seed in range(40):
        rng = Random(seed)  # noqa: S311 - reproducible on purpose
        units, at = numbered(name), rng.randrange(2 * GROUP, FRAMES)
        units[at] = (at, without_a_part(units[at][1], rng))
        assert wrong(name, followed(name, units[1:])) == []  # the refresh is joined late


def without_a_part(unit: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(unit) // 4, len(unit) // 2)
    return unit[:at] + unit[at + len(unit) // 8 :]


def test_a_rotation_that_only_one_picture_carries_holds_until_another_comes() -> None:
    quarter = "000" + f"{1 << 14:016b}" + "1" + "0"  # anticlockwise, of 65536; until the next
    message = nal(0x06, f"{47:08b}{3:08b}{quarter}000")
    units = numbered("cabac")
    outcomes = followed("cabac", [(0, message + units[0][1]), *units[1:20]])
    turns = [one.orientation for one in outcomes if isinstance(one, Decoded)]
    assert turns == [8] * 20


def test_nothing_is_raised_whatever_is_damaged() -> None:
    for seed in range(60):
        rng = Random(seed)  # noqa: S311 - reproducible on purpose
        name = rng.choice([*H264, *HEVC])
        units = spoiled(numbered(name), rng)
        assert len(followed(name, units)) == len(units)


def test_what_the_demuxer_knows_to_be_damaged_ends_the_chain() -> None:
    decoder = UnitDecoder("hevc", av.VideoCodecContext.create("hevc", "r"))
    first, second, third = (TimedUnit(unit) for unit in encoded("hevc")[:3])
    decoder.feed(first)
    (outcome,) = decoder.feed(replace(second, damaged=True))
    assert outcome == Broken("a part of it was lost on the way")
    assert decoder.feed(third) == [Unkeyed()]


def test_a_stream_that_does_not_say_how_it_is_reordered_comes_in_order() -> None:
    outcomes = followed("cabac", stored("order_unsaid"))
    numbers = [number for number, _ in shown(outcomes)]
    assert len(outcomes) == 30
    assert len(numbers) >= 28  # libav learns the order from the first pictures, and loses one
    assert fates(outcomes[5:]).startswith("25 picture")


def test_a_stream_that_only_allows_reordering_is_shown_completely() -> None:
    outcomes = followed("cabac", stored("reordering_allowed"))
    assert [number for number, _ in shown(outcomes)] == list(range(30))


def test_a_unit_that_a_file_does_not_show_has_no_outcome() -> None:
    decoder = UnitDecoder("h264", av.VideoCodecContext.create("h264", "r"))
    first, second = (TimedUnit(unit) for unit in encoded("cabac")[:2])
    assert decoder.feed(replace(first, shown=False)) == []
    assert fates(decoder.feed(second)) == "1 picture"
