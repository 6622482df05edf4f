"""What is found in the predictions and dead letters of one life, break by break."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.judging.chain import Fault
from pipeline.judging.trail import MOST_FINDINGS, Finding, Published, Trail, Wrong
from pipeline.records import Record, Reset
from pipeline.wire.predictions import NEW_CHAIN
from tests.pipeline.predictions import Tape, resealed, tape


def follow(
    records: Sequence[Record],
    *,
    judged: range | None = range(10),
    whole: bool = True,
    repeats_allowed: bool = False,
) -> Trail:
    """Enter predictions in the trail of life 1 of partition 0."""
    trail = Trail(0, 1, judged=judged, whole=whole, repeats_allowed=repeats_allowed)
    for record in records:
        trail.enter_prediction(record)
    return trail


def altered(record: Record, old: bytes, new: bytes) -> Record:
    assert old in (record.value or b"")
    return replace(record, value=(record.value or b"").replace(old, new))


def kinds(trail: Trail) -> list[str]:
    return [finding.kind for finding in trail.findings]


def test_sound_predictions_have_no_break() -> None:
    trail = follow(tape(range(5)).records)
    assert (trail.predictions, trail.predicted, trail.repeats, trail.ahead) == (5, 5, 0, 0)
    assert (trail.breaks, trail.findings, list(trail.streams)) == (0, [], ["cam-1"])


def test_a_break_is_named_with_its_place() -> None:
    first, *_, last = tape(range(3)).records
    (found,) = follow([first, last]).findings
    assert (found.kind, found.partition, found.life) == (Fault.UNLINKED, 0, 1)
    assert (found.stream, found.offset) == ("cam-1", 2)
    assert found.message.startswith("prev is ")


# ------------------------------------------------------------------------------ kinds of breaks


def test_a_record_that_is_no_prediction_is_unreadable() -> None:
    trail = follow([Record(0, 3, 0, b"cam-1", b"{}")])
    assert trail.findings == [
        Finding(
            Fault.UNREADABLE,
            0,
            1,
            "the record at offset 3 of predictions is no prediction: schema is missing",
        )
    ]


def test_bytes_that_do_not_give_their_chain_are_altered() -> None:
    first, second = tape(range(2)).records
    assert kinds(follow([first, altered(second, b'"walk"', b'"talk"')])) == [Fault.ALTERED]


def test_a_chain_that_begins_anew_without_a_reason_is_restarted() -> None:
    first, second = tape(range(2)).records
    alone = altered(tape(range(1, 2)).records[0], b'"reset":"new"', b'"reset":null')
    assert kinds(follow([first, replace(second, value=resealed(alone.value or b""))])) == [
        Fault.RESTARTED
    ]


def test_a_prediction_under_another_key_is_misplaced_and_counted() -> None:
    first, second = tape(range(2)).records
    trail = follow([first, replace(second, key=b"cam-2")])
    assert (kinds(trail), trail.predicted) == ([Wrong.MISPLACED], 2)


def test_a_prediction_in_another_partition_is_misplaced_and_not_counted() -> None:
    first, second = tape(range(2)).records
    trail = follow([first, replace(second, partition=1)])
    assert (kinds(trail), trail.predicted) == ([Wrong.MISPLACED], 1)


def test_a_prediction_that_is_published_twice_is_repeated() -> None:
    records = tape(range(3)).records
    trail = follow([*records, records[1]])
    assert (kinds(trail), trail.repeats, trail.predictions) == ([Wrong.REPEATED], 1, 3)


def test_a_repeat_with_the_same_bytes_is_only_counted_where_it_is_allowed() -> None:
    records = tape(range(3)).records
    trail = follow([*records, records[1]], repeats_allowed=True)
    assert (trail.breaks, trail.repeats, trail.predictions) == (0, 1, 3)


def test_a_repeat_with_other_bytes_is_a_break_in_any_delivery() -> None:
    records = tape(range(3)).records
    other = altered(records[1], b'"confidence":0.7', b'"confidence":0.6')
    again = replace(other, value=resealed(other.value or b""))
    trail = follow([*records, again], repeats_allowed=True)
    assert [(found.kind, found.message) for found in trail.findings] == [
        (Wrong.REPEATED, "published again with other bytes")
    ]


def test_a_prediction_after_a_later_one_of_its_stream_is_backwards() -> None:
    made = Tape()
    first, second, third = (made.predict(offset) for offset in range(3))
    assert Wrong.BACKWARDS in kinds(follow([first, third, second]))


def test_between_streams_no_order_is_asked_for() -> None:
    made = Tape()
    assert follow([made.predict(4, "a"), made.predict(1, "b")]).breaks == 0


def test_predictions_of_more_streams_than_an_audit_follows_are_counted_and_each_is_a_break() -> (
    None
):
    made = Tape()
    for offset, stream in enumerate("abcab"):
        made.predict(offset, stream)
    trail = Trail(0, 1, judged=range(9), whole=True, repeats_allowed=False, most_streams=2)
    for record in made.records:
        trail.enter_prediction(record)
    assert (kinds(trail), list(trail.streams)) == ([Wrong.UNFOLLOWED], ["a", "b"])
    assert (trail.predictions, trail.predicted) == (5, 5)


# --------------------------------------------------------------------------------- dead letters


def test_a_dead_letter_of_a_predicted_frame_is_a_second_fate() -> None:
    trail = follow(tape(range(3)).records)
    trail.enter_dead_letter(1, b"cam-1")
    assert [(f.kind, f.stream, f.offset) for f in trail.findings] == [(Wrong.TWO_FATES, "cam-1", 1)]


@pytest.mark.parametrize(("allowed", "found"), [(False, [Wrong.REPEATED]), (True, [])])
def test_a_frame_is_dead_lettered_once_unless_repeats_are_allowed(
    *, allowed: bool, found: list[Wrong]
) -> None:
    trail = follow([], repeats_allowed=allowed)
    for _ in range(2):
        trail.enter_dead_letter(3, b"cam-1")
    assert (kinds(trail), len(trail.dead_letters)) == (found, 1)


@pytest.mark.parametrize("judged", [range(2), None])
def test_dead_letters_that_the_ledger_does_not_cover_are_left_out(judged: range | None) -> None:
    trail = follow([], judged=judged)
    trail.enter_dead_letter(3, b"cam-1")
    assert len(trail.dead_letters) == 0


# --------------------------------------------------------------------------- what is judged at all


def test_what_is_ahead_of_the_ledger_is_counted_apart() -> None:
    trail = follow(tape(range(5)).records, judged=range(3))
    assert (trail.predicted, trail.ahead, trail.breaks) == (3, 2, 0)


def test_of_what_is_ahead_of_the_ledger_only_the_bytes_are_looked_at() -> None:
    first, _, third, fourth = tape(range(4)).records
    changed = altered(fourth, b'"walk"', b'"talk"')
    assert kinds(follow([first, third, changed], judged=range(1))) == [Fault.ALTERED]


def test_without_a_ledger_the_links_are_still_checked() -> None:
    first, _, third = tape(range(3)).records
    trail = follow([first, third], judged=None)
    assert (kinds(trail), trail.predictions, trail.predicted) == ([Fault.UNLINKED], 2, 0)


@pytest.mark.parametrize(("whole", "found"), [(True, [Fault.UNLINKED]), (False, [])])
def test_the_first_link_is_checked_only_where_the_log_holds_the_beginning(
    *, whole: bool, found: list[Fault]
) -> None:
    assert kinds(follow(tape(range(5)).records[2:], whole=whole)) == found


def test_streams_that_began_after_an_end_are_counted() -> None:
    made = Tape()
    for offset, reset in ((0, None), (1, Reset.ENDED), (2, None), (3, Reset.GAP)):
        made.predict(offset, reset=reset)
    assert follow(made.records).after_ends == 1


def test_all_breaks_are_counted_and_only_the_first_are_kept_in_words() -> None:
    trail = follow([])
    for number in range(MOST_FINDINGS + 5):
        trail.find(Wrong.LEDGER, str(number))
    assert (trail.breaks, len(trail.findings)) == (MOST_FINDINGS + 5, MOST_FINDINGS)


# ---------------------------------------------------------------------------- one stream's frames


def test_the_chain_of_a_stream_is_that_of_its_latest_frame() -> None:
    published = Published()
    links = ((4, "aa"), (9, "bb"))
    entered = [published.enter(offset, NEW_CHAIN, chain, 7) for offset, chain in links]
    assert (entered, published.enter(6, NEW_CHAIN, "cc", 8)) == ([True, True], False)
    assert (published.chain, published.crc(6), published.crc(5)) == ("bb", 8, None)


@pytest.mark.parametrize(
    ("first", "last", "found"), [(0, 3, None), (0, 4, 4), (4, 9, 4), (5, 9, 9), (10, 20, None)]
)
def test_the_first_predicted_frame_of_a_range_is_found(
    first: int, last: int, found: int | None
) -> None:
    published = Published()
    for offset in (4, 9):
        published.enter(offset, NEW_CHAIN, "aa", 7)
    assert published.between(first, last) == found
