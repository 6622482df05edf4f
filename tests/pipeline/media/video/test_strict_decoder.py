"""One unit, its own picture or the reason: and a decoder that starts at the keyframe agrees."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.outcomes import Broken, Decoded, Outcome, Unkeyed
from pipeline.media.video.strict_decoder import StrictDecoder
from tests.pipeline.media.video.damage import (
    MISPLACED,
    Change,
    changed,
    join,
    lose_slice,
    repeat,
    spoiled,
    swap,
)
from tests.pipeline.media.video.encoding import (
    AT_ONCE,
    FRAMES,
    H264,
    Units,
    codec_of,
    digest,
    encoded,
    fates,
    numbered,
    right,
    stored,
)

WHOLE = f"{FRAMES} picture"


def decoded(name: str, units: Units, *, sets: bytes = b"") -> list[Outcome]:
    decoder = StrictDecoder(codec_of(name), sets=sets)
    return [decoder.feed(unit) for _, unit in units]


def seen(outcomes: list[Outcome]) -> list[str]:
    """Return outcomes as texts that can be compared."""
    return [
        digest(one.picture) + str(one.key) if isinstance(one, Decoded) else repr(one)
        for one in outcomes
    ]


def without(unit: bytes, *kinds: int) -> bytes:
    """Remove the NAL units of some types (H.264)."""
    kept = [unit[a:b] for a, b in nals(unit) if unit[a] & 31 not in kinds]
    return b"".join(START + nal for nal in kept)


def only(unit: bytes, *kinds: int) -> bytes:
    return b"".join(START + unit[a:b] for a, b in nals(unit) if unit[a] & 31 in kinds)


@pytest.mark.parametrize("name", AT_ONCE)
def test_each_unit_gives_its_own_picture(name: str) -> None:
    outcomes = decoded(name, numbered(name))
    assert fates(outcomes) == WHOLE
    frames = [digest(one.picture) for one in outcomes if isinstance(one, Decoded)]
    assert frames == [right(name)[n] for n in range(FRAMES)]


@given(name=st.sampled_from(AT_ONCE), changes=MISPLACED)
@settings(max_examples=100, deadline=None)
def test_no_picture_is_wrong_whatever_units_are_missing_or_misplaced(
    name: str, changes: list[Change]
) -> None:
    units = changed(numbered(name), changes)
    for (number, _), outcome in zip(units, decoded(name, units), strict=True):
        if isinstance(outcome, Decoded):
            assert digest(outcome.picture) == right(name)[number]


@given(name=st.sampled_from([one for one in AT_ONCE if one in H264]), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_decoder_that_starts_at_the_keyframe_agrees_whatever_is_damaged(
    name: str, seed: int
) -> None:
    rng = Random(seed)  # noqa: S311 - reproducible on purpose
    units = spoiled(numbered(name), rng)
    outcomes = decoded(name, units)
    keys = [n for n, one in enumerate(outcomes) if isinstance(one, Decoded) and one.key]
    for begin in keys:
        assert seen(decoded(name, units[begin:])) == seen(outcomes[begin:])


def whole(units: Units) -> Units:
    return units


def cut_in_half(units: Units) -> Units:
    return [*units[:5], (5, units[5][1][: len(units[5][1]) // 2]), *units[6:]]


def lose_keyframe(units: Units) -> Units:
    return [*units[:10], *units[11:]]


def lose_sets(units: Units) -> Units:
    return [*units[:10], (10, without(units[10][1], 7, 8)), *units[11:]]


def lose_other_slice(units: Units) -> Units:
    return lose_slice(units, 5)


def lose_half_a_slice(units: Units) -> Units:
    """Lose the second half of the picture, and keep the checksum after it (H.265)."""
    (begin, end), (checksum, _) = nals(units[5][1])
    unit = units[5][1]
    return [*units[:5], (5, unit[: (begin + end) // 2] + START + unit[checksum:]), *units[6:]]


def lose_first_slice(units: Units) -> Units:
    begins = [a for a, _ in nals(units[5][1])]
    return [*units[:5], (5, units[5][1][begins[1] - 3 :]), *units[6:]]


@pytest.mark.parametrize(
    ("name", "damage", "expected", "words"),
    [
        ("cabac", lambda us: us[3:], "7 unkeyed, 30 picture", ""),
        ("cabac", lambda us: [*us[:5], *us[6:]], "5 picture, 1 broken, 3 unkeyed, 30 picture",
         "units are missing before it: frame_num is 6, not 5"),
        ("cabac", cut_in_half, "5 picture, 1 broken, 4 unkeyed, 30 picture", "does not decode"),
        ("cabac", lose_keyframe, "10 picture, 1 broken, 8 unkeyed, 20 picture", "are missing"),
        ("cabac", lambda us: repeat(us, 5), "6 picture, 1 broken, 4 unkeyed, 30 picture",
         "frame_num is 5, not 6"),
        ("cabac", lambda us: swap(us, 5), "5 picture, 1 broken, 4 unkeyed, 30 picture",
         "frame_num is 6, not 5"),
        ("cabac", lambda us: join(us, 5), "5 picture, 1 broken, 3 unkeyed, 30 picture",
         "a unit of 2 pictures, not one"),
        ("cabac", lose_sets, "10 picture, 1 broken, 9 unkeyed, 20 picture",
         "a keyframe without its parameter sets"),
        ("slices", lose_other_slice, "5 picture, 1 broken, 4 unkeyed, 30 picture",
         "its picture is damaged"),
        ("slices", lose_first_slice, "5 picture, 1 broken, 4 unkeyed, 30 picture",
         "begins in the middle of its picture"),
        ("reordered", whole, "1 broken, 9 unkeyed, " * 3 + "1 broken, 9 unkeyed",
         "may be reordered (max_num_reorder_frames 2)"),
        ("open groups", whole, "1 broken, 39 unkeyed", "may be reordered"),
        ("gradual refresh", whole, WHOLE, ""),
        ("gradual refresh", lambda us: us[1:], "39 unkeyed", ""),
        ("hevc", lambda us: [*us[:5], *us[6:]], "5 picture, 1 broken, 3 unkeyed, 30 picture",
         "does not decode (InvalidDataError)"),
        ("hevc checksums", cut_in_half, "5 picture, 1 broken, 4 unkeyed, 30 picture",
         "its checksum is missing"),
        ("hevc checksums", lose_half_a_slice, "5 picture, 1 broken, 4 unkeyed, 30 picture",
         "does not decode"),
    ],
)  # fmt: skip
def test_what_ends_a_chain_is_named_and_nothing_follows_until_the_next_keyframe(
    name: str, damage: Callable[[Units], Units], expected: str, words: str
) -> None:
    outcomes = decoded(name, damage(numbered(name)))
    assert fates(outcomes) == expected
    found = [one.words for one in outcomes if isinstance(one, Broken)]
    assert all(words in one for one in found)


def test_a_hole_in_the_numbers_of_units_is_a_loss_that_frame_num_cannot_show() -> None:
    decoder = StrictDecoder("h264")
    units = encoded("cabac", more="keyint=40:min-keyint=40")
    assert isinstance(decoder.feed(units[0], seq=7), Decoded)
    assert isinstance(decoder.feed(units[1], seq=8), Decoded)
    outcome = decoder.feed(units[18], seq=25)  # frame_num has four bits: 18 counts as 2
    assert outcome == Broken("units are missing before it: seq is 25, not 9")


def test_parameter_sets_can_come_from_outside() -> None:
    sets = only(encoded("cabac")[0], 7, 8)
    units = [(n, without(unit, 7, 8)) for n, unit in numbered("cabac")]
    assert fates(decoded("cabac", units)) == ", ".join(["1 broken, 9 unkeyed"] * 4)
    assert fates(decoded("cabac", units, sets=sets)) == WHOLE


def test_a_resolution_may_change_at_a_keyframe_and_nowhere_else() -> None:
    small = list(enumerate(encoded("cabac", width=64)))
    units = numbered("cabac")
    assert fates(decoded("cabac", [*units[:10], *small[10:]])) == WHOLE
    foreign = (5, only(small[0][1], 7) + units[5][1])
    later = decoded("cabac", [*units[:5], foreign, *units[6:10]])
    assert fates(later) == "5 picture, 1 broken, 4 unkeyed"


def test_a_pps_may_be_repeated_in_a_group_and_not_replaced() -> None:
    coarse, units = encoded("cabac", more="qp=40"), numbered("cabac")
    repeated = (5, only(units[0][1], 7, 8) + units[5][1])
    assert fates(decoded("cabac", [*units[:5], repeated, *units[6:]])) == WHOLE
    foreign = (5, only(coarse[0], 8) + units[5][1])
    outcomes = decoded("cabac", [*units[:5], foreign, *units[6:]])
    assert fates(outcomes) == "5 picture, 1 broken, 4 unkeyed, 30 picture"
    assert outcomes[5] == Broken("another PPS in the middle of a group")


def test_parameter_sets_from_outside_may_be_repeated_in_a_group() -> None:
    sets = only(encoded("cabac")[0], 7, 8)
    units = [(n, without(unit, 7, 8)) for n, unit in numbered("cabac")]
    units[5] = (5, sets + units[5][1])
    assert fates(decoded("cabac", units, sets=sets)) == WHOLE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes that do not begin with a start code"),
        (b"\x00\x00\x02\x10 an MP4 sample", "do not begin with a start code"),
        (START + b"\x67", "without a picture"),
        (START * 2000 + b"\x65", "more than 1024 NAL units"),
    ],
)
def test_what_is_no_unit_is_named(content: bytes, words: str) -> None:
    outcome = StrictDecoder("h264").feed(content)
    assert isinstance(outcome, Broken)
    assert words in outcome.words


def test_a_picture_that_would_be_too_large_is_refused_by_its_headers() -> None:
    huge = _with_size(encoded("cabac")[0])
    outcome = StrictDecoder("h264").feed(huge)
    assert isinstance(outcome, Broken)
    assert "at most 33554432 are decoded" in outcome.words


def _with_size(unit: bytes) -> bytes:
    """Replace the SPS by one of baseline profile and 65536 x 65536 pixels."""
    bits = "010000100000000000101001" + "1" + "1" + "011" + "1" + "0"
    bits += ("0" * 12 + "1" + "0" * 12) * 2 + "1" + "1" + "0" + "0" + "1"
    padded = bits + "0" * (-len(bits) % 8)
    sps = b"\x67" + int(padded, 2).to_bytes(len(padded) // 8)
    return START + sps + without(unit, 7)


def test_after_an_end_a_chain_begins_anew() -> None:
    decoder = StrictDecoder("h264")
    assert [decoder.whole, decoder.feed(encoded("cabac")[1])] == [False, Unkeyed()]
    assert isinstance(decoder.feed(encoded("cabac")[0]), Decoded)
    assert decoder.whole


def test_streams_whose_pictures_may_come_later_than_their_units_are_refused() -> None:
    assert fates(decoded("cabac", stored("reordering_allowed"))) == "1 broken, 29 unkeyed"
    assert fates(decoded("cabac", stored("order_unsaid"))) == "1 picture, 1 broken, 28 unkeyed"


def test_a_unit_of_many_headers_is_refused_in_time() -> None:
    sps = only(encoded("messages")[0], 7)
    flood = b"".join(sps + b"\x01" * n for n in range(500)) + encoded("messages")[0]
    assert StrictDecoder("h264").feed(flood) == Broken("a unit of more than 64 parameter sets")
