"""What waits for the next checkpoint of a partition, and what may leave ahead of it."""

import pytest

from pipeline.records import BadRecord, Destination, EndOfStream, Fate, Outgoing, Record
from pipeline.streams.item import Item
from pipeline.streams.open_checkpoint import (
    LETTERS_A_SECOND,
    LETTERS_AT_ONCE,
    LetterBudget,
    OpenCheckpoint,
)
from pipeline.streams.stream import Stream
from pipeline.wire.skips import Skips
from tests.pipeline.changelogs import manifest
from tests.pipeline.frame_path import RULES, FramePath, frame, undecodable

NOTE = Outgoing(Destination.STATE, 0, b"x", b"1234")


@pytest.fixture
def path() -> FramePath:
    return FramePath(manifest())


@pytest.fixture
def waiting() -> OpenCheckpoint:
    return OpenCheckpoint(0, attempts=0, letters=LetterBudget(0))


def filled(waiting: OpenCheckpoint, path: FramePath) -> OpenCheckpoint:
    """Two predictions of a stream, and a dead letter of another between them."""
    for item in path.work(frame(0), undecodable(1, "b"), frame(2)):
        waiting.finish(item)
    return waiting


def kinds(waiting: OpenCheckpoint) -> list[Destination]:
    return [out.destination for out in waiting.outgoing]


def test_what_is_published_waits_in_the_order_of_its_records(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    letter, said = Destination.DEAD_LETTERS, Destination.PREDICTIONS
    assert kinds(filled(waiting, path)) == [said, letter, said]


def test_every_finished_record_is_counted_by_its_fate(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    bad = BadRecord(Record(0, 4, 0, None, b""), "malformed", "no key")
    for item in path.work(frame(0), frame(1), undecodable(2), EndOfStream("a", 0, 3, 0), bad):
        waiting.finish(item)
    assert waiting.fates == {Fate.PREDICTED: 2, Fate.DEAD_LETTERED: 2, Fate.ENDED: 1}


def test_only_the_capture_times_of_predictions_are_kept(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    assert filled(waiting, path).captured_us == [0, 200_000]


def test_every_stream_of_a_finished_record_has_changed(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    assert filled(waiting, path).changed == path.partition.streams


def test_a_stream_that_is_forgotten_is_written_no_more(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    for item in path.work(frame(0, "a"), frame(1, "b")):
        waiting.finish(item)
    waiting.evict(path.partition.streams["a"], 0, RULES)
    waiting.evict(Stream("never seen"), 0, RULES)
    assert set(waiting.changed) == {"b"}


def test_its_size_is_that_of_all_values_that_wait(waiting: OpenCheckpoint) -> None:
    waiting.publish([NOTE, NOTE, Outgoing(Destination.STATE, 0, b"y", None)])
    assert waiting.size == 8


def test_its_size_falls_when_predictions_leave(waiting: OpenCheckpoint, path: FramePath) -> None:
    left = filled(waiting, path)
    left.departures(())
    assert left.size == sum(len(out.value or b"") for out in left.outgoing) > 0


def test_a_letter_that_is_left_out_is_not_made(waiting: OpenCheckpoint) -> None:
    """A flood would make half a million a minute."""
    made = []

    def letter() -> Outgoing:
        made.append(1)
        return NOTE

    for offset in range(LETTERS_AT_ONCE + 50):
        item = Item(BadRecord(Record(0, offset, 0, None, b""), "malformed", "no key"), 0)
        item.dead_letter(letter)
        waiting.finish(item)
    assert len(made) == len(waiting.outgoing) == LETTERS_AT_ONCE
    assert waiting.fates == {Fate.DEAD_LETTERED: LETTERS_AT_ONCE + 50}


def test_skips_replace_those_of_the_same_record_only(waiting: OpenCheckpoint) -> None:
    first, longer, other = Skips("a", ((1, 1),)), Skips("a", ((1, 4),)), Skips("a", ((9, 9),))
    for skips in (first, longer, other):
        waiting.skip(skips)
    assert list(waiting.skipped.values()) == [longer, other]


def test_what_retention_deleted_adds_up(waiting: OpenCheckpoint) -> None:
    waiting.expire(3)
    waiting.expire(4)
    assert waiting.expired == 7


# ------------------------------------------------------------------------------ leaving ahead of it


def test_predictions_leave_with_headers_and_dead_letters_stay(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    leaving = filled(waiting, path).departures((("worker", b"w"),))
    assert [departure.captured_us for departure in leaving] == [0, 200_000]
    assert [departure.outgoing.headers for departure in leaving] == [(("worker", b"w"),)] * 2
    assert kinds(waiting) == [Destination.DEAD_LETTERS]


def test_a_prediction_leaves_once(waiting: OpenCheckpoint, path: FramePath) -> None:
    assert len(filled(waiting, path).departures(())) == 2
    assert waiting.departures(()) == []
    assert waiting.captured_us == []


def test_what_has_left_is_still_counted_and_its_stream_written(
    waiting: OpenCheckpoint, path: FramePath
) -> None:
    filled(waiting, path).departures(())
    assert (waiting.fates[Fate.PREDICTED], set(waiting.changed)) == (2, {"a"})


def test_nothing_overtakes_predictions_or_skips(waiting: OpenCheckpoint, path: FramePath) -> None:
    assert not waiting.binding
    waiting.publish([NOTE])
    assert not waiting.binding
    assert filled(waiting, path).binding
    waiting.departures(())
    assert not waiting.binding
    waiting.skip(Skips("a", ((1, 1),)))
    assert waiting.binding


def test_a_flood_keeps_its_fates_and_writes_no_more_letters_than_allowed() -> None:
    letters = LetterBudget(0)
    assert sum(letters.take(0) for _ in range(2 * LETTERS_AT_ONCE)) == LETTERS_AT_ONCE
    assert sum(letters.take(2000) for _ in range(1000)) == 2 * LETTERS_A_SECOND
    assert sum(letters.take(1000) for _ in range(1000)) == 0, "time that goes back gives nothing"
    assert letters.omitted == LETTERS_AT_ONCE + (1000 - 2 * LETTERS_A_SECOND) + 1000


def test_after_a_timestamp_of_the_far_future_letters_are_written_again() -> None:
    letters = LetterBudget(0)
    for _ in range(LETTERS_AT_ONCE):
        letters.take(0)
    wrong_ms = 10**15
    assert sum(letters.take(wrong_ms) for _ in range(2 * LETTERS_AT_ONCE)) == LETTERS_AT_ONCE
    assert not letters.take(3000)
    assert sum(letters.take(5000) for _ in range(1000)) == 2 * LETTERS_A_SECOND
