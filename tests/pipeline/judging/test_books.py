"""What a changelog says for an audit, and each way in which it can contradict itself."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.errors import CorruptStateError
from pipeline.judging.books import Books
from pipeline.judging.trail import Trail, Wrong
from pipeline.records import Destination, Fate, Outgoing, Reset
from pipeline.wire.changelog import Manifest
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips
from tests.pipeline.changelogs import changelog, manifest
from tests.pipeline.predictions import Tape, remembered

SOUND = manifest(
    next_offset=10,
    fates={Fate.PREDICTED: 4, Fate.SKIPPED: 3, Fate.ENDED: 1},
    absent=1,
    expired=1,
)
SKIPPED = Skips("a", ((4, 5), (8, 8)))
SECOND, THIRD = Life(2, 30, 100, {0: 7, 1: 9}), Life(3, 60, 200, {0: 17, 1: 9})


def trail_of(tape: Tape) -> Trail:
    trail = Trail(0, 1, judged=range(10), whole=True, repeats_allowed=False)
    for record in tape.records:
        trail.enter_prediction(record)
    return trail


def tape() -> Tape:
    """Four predictions of two streams, at offsets 0 to 3; stream `a` ended in between."""
    made = Tape()
    for offset, stream in enumerate("abab"):
        made.predict(offset, stream, Reset.ENDED if offset == 2 else None)
    return made


def books(*written: Outgoing, known: Manifest = SOUND, log_start: int = 0) -> Books:
    return Books.read(changelog(*written, known.write(0), log_start=log_start, log_end=10))


def found(read: Books, made: Tape | None = None) -> list[tuple[str, str | None, int | None]]:
    """The breaks that the books show, compared with what has been published."""
    trail = trail_of(tape() if made is None else made)
    assert read.manifest is not None
    read.check(trail, read.manifest)
    return [(one.kind, one.stream, one.offset) for one in trail.findings]


def test_sound_books_have_no_break() -> None:
    made = tape()
    chain = trail_of(made).streams["a"].chain
    memory = remembered("a", chain, offset=2).write(0)
    assert found(books(SKIPPED.write(0), memory), made) == []


# ------------------------------------------------------------------------------ kinds of breaks


@pytest.mark.parametrize(
    "known",
    [
        replace(SOUND, absent=0),
        replace(SOUND, expired=2),
        replace(SOUND, next_offset=11),
        replace(SOUND, first_offset=1),
    ],
    ids=["absent", "expired", "next offset", "first offset"],
)
def test_fates_that_do_not_add_up_to_the_offsets_break_the_ledger(known: Manifest) -> None:
    assert (Wrong.LEDGER, None, None) in found(books(SKIPPED.write(0), known=known))


def test_more_streams_after_an_end_than_have_ended_is_a_break() -> None:
    fates = {Fate.PREDICTED: 5, Fate.SKIPPED: 3}
    read = books(SKIPPED.write(0), known=replace(SOUND, fates=fates))
    assert found(read) == [(Wrong.ENDED, None, None)]


@pytest.mark.parametrize(("life", "first"), [(1, 0), (2, 31)])
def test_a_manifest_of_another_life_than_the_newest_is_a_break(life: int, first: int) -> None:
    known = manifest(life=life, first_offset=first, next_offset=first)
    assert found(books(SECOND.write(0), known=known), Tape()) == [(Wrong.LIFE, None, None)]


def test_a_manifest_of_the_newest_life_is_sound() -> None:
    known = manifest(life=2, first_offset=30, next_offset=30)
    assert found(books(SECOND.write(0), known=known), Tape()) == []


def test_a_frame_that_is_predicted_and_skipped_has_two_fates() -> None:
    skips = Skips("a", ((1, 2), (8, 8)))
    assert found(books(skips.write(0))) == [(Wrong.TWO_FATES, "a", 2)]


def test_frames_of_other_streams_within_skipped_ranges_are_sound() -> None:
    skips = Skips("b", ((2, 2), (8, 9)))
    assert found(books(skips.write(0))) == []


def test_more_skipped_frames_than_the_changelog_tells_of_are_a_break() -> None:
    assert found(books(Skips("a", ((4, 5),)).write(0))) == [(Wrong.SKIPPED, None, None)]


def test_skipped_ranges_beyond_the_manifest_are_no_excuse() -> None:
    beyond = Skips("a", ((4, 5), (10, 12)))
    assert found(books(beyond.write(0))) == [(Wrong.SKIPPED, None, None)]


def test_where_retention_has_deleted_frames_the_number_of_skipped_is_not_judged() -> None:
    assert found(books(log_start=1)) == []


def test_a_memory_that_does_not_go_on_from_the_last_prediction_is_a_break() -> None:
    memory = remembered("a", "0badcafe", offset=2).write(0)
    assert found(books(SKIPPED.write(0), memory)) == [(Wrong.MEMORY, "a", None)]


@pytest.mark.parametrize(
    ("stream", "chain", "offset"),
    [("a", "00000000", 2), ("a", "0badcafe", 10), ("never", "0badcafe", 2)],
    ids=["new", "committed meanwhile", "without predictions"],
)
def test_a_memory_that_cannot_be_compared_is_no_break(stream: str, chain: str, offset: int) -> None:
    memory = remembered(stream, chain, offset=offset).write(0)
    assert found(books(SKIPPED.write(0), memory)) == []


@pytest.mark.parametrize("key", [b"m", b"l:2", b"k:a:4", b"s:a"])
def test_a_record_that_cannot_be_read_stops_the_audit_with_its_partition(key: bytes) -> None:
    broken = Outgoing(Destination.STATE, 0, key, b"{}")
    with pytest.raises(CorruptStateError, match="the changelog of partition 0 cannot be read"):
        Books.read(changelog(broken))


# ------------------------------------------------------------------------------------------ lives


@pytest.fixture
def moved() -> Books:
    """The books of a partition in its third life, whatever the order of its records."""
    return books(THIRD.write(0), SECOND.write(0))


def test_without_a_record_of_a_life_the_first_goes_on() -> None:
    read = books()
    assert (read.newest_life, read.manifest_of(1)) == (1, read.manifest)


def test_only_the_newest_life_has_a_ledger(moved: Books) -> None:
    assert moved.newest_life == 3
    assert [moved.manifest_of(life) for life in (1, 2, 3)] == [None, None, moved.manifest]


def test_a_partition_without_a_manifest_has_no_ledger() -> None:
    assert Books.read(changelog()).manifest_of(1) is None


def test_a_prediction_belongs_to_the_life_in_whose_stretch_of_the_log_it_lies(
    moved: Books,
) -> None:
    offsets = (0, 99, 100, 199, 200, 1_000)
    assert [moved.life_of_prediction(offset) for offset in offsets] == [1, 1, 2, 2, 3, 3]


def test_a_dead_letter_belongs_to_the_life_in_whose_stretch_of_its_partition_it_lies(
    moved: Books,
) -> None:
    places = ((0, 6), (0, 7), (0, 16), (0, 17), (1, 8), (1, 9))
    assert [moved.life_of_dead_letter(*place) for place in places] == [1, 2, 2, 3, 1, 3]


def test_predictions_are_cut_where_the_log_begins_after_the_life(moved: Books) -> None:
    cuts: Sequence[int | None] = [moved.predictions_cut(life, 150) for life in (1, 2, 3)]
    assert cuts == [150, 150, None]
    assert moved.predictions_cut(1, 0) is None


def test_dead_letters_are_cut_where_any_of_their_partitions_begins_after_the_life(
    moved: Books,
) -> None:
    assert moved.dead_letters_cut(3, {0: 17, 1: 9}) is None
    assert moved.dead_letters_cut(3, {0: 17, 1: 10}) == 10
    assert moved.dead_letters_cut(2, {0: 17, 1: 9}) == 17
