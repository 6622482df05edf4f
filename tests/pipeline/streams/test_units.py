"""The fates of H.264 units, and the keyframe that a stream's snapshot names."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.heap import return_freed
from pipeline.media.pictures import Fit
from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.lanes import unit_chain
from pipeline.records import Destination, Fate, Frame, Keyframe
from tests.pipeline import unit_path
from tests.pipeline.frame_path import NO_PICTURE
from tests.pipeline.frame_path import frame as picture
from tests.pipeline.media.video.damage import spoiled
from tests.pipeline.media.video.encoding import encoded, numbered, stored
from tests.pipeline.unit_path import (
    UnitPath,
    brightness,
    end,
    predicted,
    renumbered,
    runs,
    unit,
    units,
)

Film = list[Frame]
WHOLE = "40 predicted"
HALF = 4.9  # pictures a second that the model wants: every second unit is sampled out


def with_content(film: Film, at: int, content: bytes) -> Film:
    return [*film[:at], unit(at, content, seq=at), *film[at + 1 :]]


def half(film: Film, at: int) -> Film:
    content = film[at].content
    return with_content(film, at, content[: len(content) // 2])


def without_sets(film: Film, at: int) -> Film:
    content = film[at].content
    kept = [content[a:b] for a, b in nals(content) if content[a] & 31 not in (7, 8)]
    return with_content(film, at, b"".join(START + nal for nal in kept))


def without_seq(film: Film) -> Film:
    return [unit(one.offset, one.content) for one in film]


def of_another_size(film: Film, at: int) -> Film:
    """From here on the camera sends another resolution."""
    small = encoded("cabac", width=64)
    return [*film[:at], *(unit(n, small[n], seq=n) for n in range(at, 40))]


def with_foreign_sps(film: Film, at: int) -> Film:
    small = encoded("cabac", width=64)[0]
    sps = [small[a:b] for a, b in nals(small) if small[a] & 31 == 7]
    return with_content(film, at, START + sps[0] + film[at].content)


@pytest.mark.parametrize(
    ("name", "damage", "expected"),
    [
        ("cabac", list, WHOLE),
        ("cavlc", list, WHOLE),
        ("slices", list, WHOLE),
        ("messages", list, WHOLE),
        ("mbaff", list, WHOLE),
        ("gradual refresh", list, WHOLE),
        ("gradual refresh", lambda f: f[1:], "39 unkeyed"),
        ("reordered", list, ", ".join(["1 dead_lettered, 9 unkeyed"] * 4)),
        ("open groups", list, "1 dead_lettered, 39 unkeyed"),
        ("cabac", lambda f: f[3:], "7 unkeyed, 30 predicted"),
        ("cabac", lambda f: [*f[:5], *f[6:]],
         "5 predicted, 1 dead_lettered, 3 unkeyed, 30 predicted"),
        ("cabac", lambda f: [*f[:10], *f[11:]],
         "10 predicted, 1 dead_lettered, 8 unkeyed, 20 predicted"),
        ("gradual refresh", lambda f: [*f[:5], *f[21:]],
         "5 predicted, 1 dead_lettered, 18 unkeyed"),
        ("cabac", lambda f: half(f, 5), "5 predicted, 1 dead_lettered, 4 unkeyed, 30 predicted"),
        ("cabac", lambda f: half(f, 10), "10 predicted, 1 dead_lettered, 9 unkeyed, 20 predicted"),
        ("cabac", lambda f: [*f[:6], f[5], *f[6:]], "6 predicted, 1 duplicate, 34 predicted"),
        ("cabac", lambda f: [*f[:6], *f[:6], *f[6:]], "6 predicted, 6 duplicate, 34 predicted"),
        ("cabac", lambda f: [*f[:5], f[6], f[5], *f[7:]],
         "5 predicted, 1 dead_lettered, 1 duplicate, 3 unkeyed, 30 predicted"),
        ("cabac", lambda f: without_seq([*f[:6], f[5], *f[6:]]),
         "6 predicted, 1 dead_lettered, 4 unkeyed, 30 predicted"),
        ("cabac", lambda f: [*with_content(f[:6], 5, f[5].content + f[6].content), *f[7:]],
         "5 predicted, 1 dead_lettered, 3 unkeyed, 30 predicted"),
        ("cabac", lambda f: without_sets(f, 10),
         "10 predicted, 1 dead_lettered, 9 unkeyed, 20 predicted"),
        ("cabac", lambda f: of_another_size(f, 10), WHOLE),
        ("cabac", lambda f: with_foreign_sps(f, 15),
         "15 predicted, 1 dead_lettered, 4 unkeyed, 20 predicted"),
        ("cabac", lambda f: with_content(f, 0, b"\x00\x00\x00\x9cM MP4"),
         "1 dead_lettered, 9 unkeyed, 30 predicted"),
        ("cabac", lambda f: with_content(f, 5, b""),
         "5 predicted, 1 dead_lettered, 4 unkeyed, 30 predicted"),
    ],
)  # fmt: skip
def test_what_breaks_a_chain_is_a_dead_letter_and_what_follows_is_unkeyed(
    name: str, damage: Callable[[Film], Film], expected: str
) -> None:
    path = UnitPath()
    items = path.work(*renumbered_units(damage(units(name))))
    assert runs(items) == expected
    letters = [i for i in items if i.outgoing is not None and i.fate is not Fate.PREDICTED]
    assert all(i.outgoing.destination is Destination.DEAD_LETTERS for i in letters if i.outgoing)
    assert len(letters) == expected.count("dead_lettered")


def renumbered_units(film: Film) -> Film:
    """Captured at the times of the undamaged film, so that repeats are repeats."""
    return [unit(n, one.content, seq=one.seq, at_ms=one.record_ms) for n, one in enumerate(film)]


@pytest.mark.parametrize("name", ["reordering_allowed", "order_unsaid"])
def test_streams_that_hold_pictures_back_are_refused_at_their_keyframes(name: str) -> None:
    items = UnitPath().work(*(unit(n, content, seq=n) for n, content in stored(name)))
    assert runs(items).replace("1 predicted, ", "") in (
        "1 dead_lettered, 29 unkeyed",
        "1 dead_lettered, 28 unkeyed",
    )


@pytest.mark.parametrize("name", ["cabac", "slices"])
def test_the_model_sees_each_units_own_picture(name: str) -> None:
    path = UnitPath()
    path.work(*units(name))
    assert path.seen() == list(brightness(name))


def test_a_picture_neither_begins_nor_ends_a_chain() -> None:
    film = units("cabac")
    path = UnitPath()
    first = path.work(picture(0), unit(1, film[1].content))
    assert runs(first) == "1 predicted, 1 unkeyed"
    mixed = [unit(2, film[0].content), picture(3), unit(4, film[1].content), picture(5)]
    again = path.work(*mixed, picture(6, brightness=1), unit(7, film[2].content))
    assert runs(again) == "6 predicted"


def test_a_picture_that_does_not_decode_keeps_the_chain() -> None:
    film = units("cabac")
    broken = Frame("a", 0, 1, 100, 100_000, captured_given=True, content=NO_PICTURE)
    path = UnitPath()
    items = path.work(unit(0, film[0].content), broken, unit(2, film[1].content))
    assert runs(items) == "1 predicted, 1 dead_lettered, 1 predicted"
    assert path.stream().keyframe == Keyframe(0, 0)


def test_sampled_units_are_decoded_for_those_that_follow() -> None:
    path = UnitPath(rate_hz=HALF)
    items = path.work(*units("cabac"))
    assert runs(items) == ", ".join(["1 predicted, 1 sampled"] * 20)
    assert path.seen() == list(brightness("cabac")[::2])


def test_a_sampled_unit_that_breaks_the_chain_stays_sampled() -> None:
    path = UnitPath(rate_hz=HALF)
    items = path.work(*renumbered(half(units("cabac"), 5)))[:12]
    assert runs(items[4:]) == (
        "1 predicted, 1 sampled, 1 unkeyed, 1 sampled, 1 unkeyed, 1 sampled, 1 predicted, 1 sampled"
    )


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ([end(3)], "1 ended, 3 unkeyed"),
        ([picture(3, at_ms=60_000)], "4 predicted"),  # a gap
    ],
)
def test_an_end_ends_the_chain_and_a_gap_does_not(between: list[Frame], expected: str) -> None:
    film = units("cabac")
    path = UnitPath(keyframe_s=3600.0)
    path.work(*film[:3])
    after = [unit(n + 1, film[n].content, seq=n, at_ms=60_000 + n * 100) for n in (3, 4, 5)]
    items = path.work(*between, *after)
    assert runs(items) == expected


def test_another_epoch_ends_the_chain_and_a_late_unit_does_not() -> None:
    film = [unit(n, one.content, seq=n, epoch=5) for n, one in enumerate(units("cabac"))]
    path = UnitPath()
    late = unit(3, film[0].content, seq=0, epoch=4)
    items = path.work(*film[:3], late, unit(4, film[3].content, seq=3, epoch=5))
    assert runs(items) == "3 predicted, 1 late, 1 predicted"
    later = path.work(unit(5, film[4].content, seq=4, epoch=6), unit(6, film[5].content, epoch=6))
    assert runs(later) == "2 unkeyed"
    assert runs(path.work(unit(7, film[10].content, epoch=6))) == "1 predicted"


@pytest.mark.parametrize(("age_ms", "fate"), [(2_000, "predicted"), (2_001, "unkeyed")])
def test_a_unit_is_unkeyed_if_its_keyframe_is_too_old(age_ms: int, fate: str) -> None:
    film = units("gradual refresh")
    path = UnitPath(keyframe_s=2.0)
    path.work(*film[:2])
    items = path.work(picture(2, "b", at_ms=age_ms), unit(3, film[2].content, at_ms=250))
    assert items[1].final_fate == fate
    assert (path.stream().keyframe is None) == (fate == "unkeyed")


def test_the_age_of_a_keyframe_is_counted_by_the_partitions_time_alone() -> None:
    """A camera's own clock can be far behind the others: then all its units are as late."""
    film = units("cabac")
    path = UnitPath(keyframe_s=2.0)
    path.work(picture(0, "b", at_ms=100_000))
    items = path.work(*(unit(1 + n, film[n].content, at_ms=n * 100) for n in range(5)))
    assert runs(items) == "5 predicted"
    assert path.stream().keyframe == Keyframe(1, 100_000)


def test_a_group_that_grows_too_large_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    film = units("cabac")
    most = sum(len(one.content) for one in film[:4])
    monkeypatch.setattr(unit_chain, "MAX_GROUP_BYTES", most)
    items = UnitPath().work(*film[:11])
    assert runs(items) == "4 predicted, 1 dead_lettered, 5 unkeyed, 1 predicted"
    letter = items[4].outgoing
    assert letter is not None
    assert f"its group has more than {most} bytes".encode() in dict(letter.headers)["error"]


def test_each_keyframe_begins_to_count_the_bytes_of_its_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film = units("cabac")
    groups = [sum(len(one.content) for one in film[n : n + 10]) for n in (0, 10, 20, 30)]
    monkeypatch.setattr(unit_chain, "MAX_GROUP_BYTES", max(groups))
    assert runs(UnitPath().work(*film)) == WHOLE


def test_video_with_more_pixels_than_a_frame_may_have_is_a_dead_letter() -> None:
    large = encoded("cabac", width=2048)  # 2048 x 64
    items = UnitPath().work(*(unit(n, large[n], seq=n) for n in range(3)))
    assert runs(items) == "1 dead_lettered, 2 unkeyed"
    letter = items[0].outgoing
    assert letter is not None
    assert b"at most 100000 are decoded (max_frame_pixels)" in dict(letter.headers)["error"]


def test_a_picture_that_does_not_fit_is_a_dead_letter_and_keeps_the_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `crop`: 96 x 64 covers 1 x 40 only when it is scaled to 60 x 40."""
    monkeypatch.setattr(unit_path, "FIT", Fit(40, 1, "crop"))
    path = UnitPath()
    path.work(picture(0))
    items = path.work(*(unit(n + 1, one.content) for n, one in enumerate(units("cabac", 3))))
    assert runs(items) == "3 dead_lettered"
    assert path.stream().keyframe == Keyframe(1, 100)
    letter = items[1].outgoing
    assert letter is not None
    assert b"is too narrow to be cropped" in dict(letter.headers)["error"]


# ------------------------------------------------------------------- streams that have not begun


def test_units_without_a_keyframe_leave_nothing_of_an_unknown_stream() -> None:
    path = UnitPath()
    items = path.work(*units("cabac")[1:5], end(5))
    assert runs(items) == "4 unkeyed, 1 ended"
    assert path.partition.streams == {}
    assert path.opened == 0


def test_a_stream_begins_with_its_first_keyframe() -> None:
    path = UnitPath()
    items = path.work(*units("cabac")[7:13])
    assert runs(items) == "3 unkeyed, 3 predicted"
    assert items[3].verdict is not None
    assert items[3].verdict.reset == "new"


def test_a_stream_that_returns_after_its_time_to_live_needs_a_keyframe() -> None:
    film = units("cabac")
    path = UnitPath(keyframe_s=3600.0)
    path.work(*film[:3])
    late = [unit(n, film[n].content, seq=n, at_ms=700_000 + n * 100) for n in range(3, 12)]
    items = path.work(*late)
    assert runs(items) == "7 unkeyed, 2 predicted"
    assert path.stream().keyframe == Keyframe(10, 701_000)


def test_a_stream_that_returns_counts_its_units_afresh() -> None:
    film = units("cabac")
    path = UnitPath(keyframe_s=3600.0)
    path.work(*film[:3])
    again = [unit(3 + n, film[n].content, seq=n, at_ms=700_000 + n * 100) for n in range(3)]
    assert runs(path.work(*again)) == "3 predicted"


def test_the_memory_of_decoders_is_given_back_with_their_partition() -> None:
    path = UnitPath(most_decoders=1000)
    return_freed()  # what other tests have left would be used again
    before = resident_bytes()
    film = encoded("cabac", width=1024)
    for n in range(60):
        path.work(*(unit(2 * n + k, film[k], f"s{n}", seq=k) for k in range(2)))
    used = resident_bytes() - before
    path.partition.release(path.predictor.rows)
    assert used > 5e6
    assert path.limit.open == 0
    assert resident_bytes() - before < used / 2


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ------------------------------------------------------------------------------- the keyframe


def test_the_keyframe_follows_the_finished_record() -> None:
    film = units("cabac")
    path = UnitPath()
    path.held = []
    path.arrive(*film[:13])
    keyframes = []
    while path.held:
        path.decode_held(1)
        path.step()
        keyframes.append(None if not path.partition.streams else path.stream().keyframe)
    begun = [Keyframe(0, 0)] * 10
    assert keyframes == [*begun, *[Keyframe(10, 1_000)] * 3]


@pytest.mark.parametrize("broken_at", [0, 5, 10])
def test_there_is_no_keyframe_after_a_break_until_the_next_one(broken_at: int) -> None:
    path = UnitPath()
    path.work(picture(0), *(half_at(broken_at)))
    keyframe = path.stream().keyframe
    path.work(unit(20, units("cabac")[20].content))
    assert (keyframe, path.stream().keyframe) == (None, Keyframe(20, 2_000))


def half_at(at: int) -> Film:
    return [unit(one.offset + 1, one.content) for one in half(units("cabac"), at)[: at + 3]]


def test_a_chain_that_a_sampled_keyframe_begins_has_a_keyframe() -> None:
    path = UnitPath(rate_hz=HALF)
    film = units("cabac")
    path.work(picture(0), unit(1, film[0].content), unit(2, film[1].content))
    assert path.stream().keyframe == Keyframe(1, 100)


@settings(max_examples=50)
@given(st.sampled_from(["cabac", "cavlc", "slices"]), st.integers(0, 10_000), st.integers(0, 40))
def test_a_restart_anywhere_changes_no_fate_and_no_picture(name: str, seed: int, at: int) -> None:
    rng = Random(seed)  # noqa: S311 - reproducible on purpose
    damaged = list(enumerate(spoiled(numbered(name), rng)))
    film = [unit(n, content, seq=seq, at_ms=n * 100) for n, (seq, content) in damaged]
    whole = UnitPath()
    expected = whole.work(*film)
    before = UnitPath()
    items = before.work(*film[:at])
    after = before.restarted()
    items += after.work(*film[after.partition.read_from :])
    assert runs(items) == runs(expected)
    assert before.seen() + after.seen() == whole.seen()
    assert predicted(items) == predicted(expected)
