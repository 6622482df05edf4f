"""What becomes of a batch of records: who is stepped when, from which memory, and what is said."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pipeline.records import BadRecord, Destination, EndOfStream, Fate, Frame, Record, Reset
from pipeline.streams.item import Item
from tests.pipeline.adder import BROKEN
from tests.pipeline.changelogs import manifest
from tests.pipeline.frame_path import FramePath, frame, undecodable


@pytest.fixture
def path() -> FramePath:
    return FramePath(manifest())


def said(items: Sequence[Item]) -> list[Any]:
    """The predictions of items that have one."""
    return [
        json.loads(item.outgoing.value or b"")
        for item in items
        if item.outgoing is not None and item.outgoing.destination is Destination.PREDICTIONS
    ]


def letter(item: Item) -> dict[str, bytes]:
    """The headers of an item's dead letter."""
    assert item.outgoing is not None
    assert item.outgoing.destination is Destination.DEAD_LETTERS
    return dict(item.outgoing.headers)


# ------------------------------------------------------------------------------- encoding, waves


def test_all_frames_of_a_batch_are_encoded_at_once(path: FramePath) -> None:
    path.work(frame(0, "a", 10), undecodable(1, "c"), frame(2, "b", 20), frame(3, "a", 30))
    assert path.engine.asked_to("encode") == [[10, 20, 30]]


def test_the_frames_of_one_stream_are_stepped_one_after_the_other(path: FramePath) -> None:
    path.work(frame(0, "a", 1), frame(1, "a", 2), frame(2, "b", 10), frame(3, "a", 4))
    a, b = (path.partition.streams[name].row for name in "ab")
    assert path.engine.asked_to("step") == [[a, b], [a], [a]]
    assert (path.sum_of("a"), path.sum_of("b")) == (7, 10)


def test_each_stream_answers_from_its_own_memory(path: FramePath) -> None:
    items = path.work(frame(0, "a", 3), frame(1, "b", 0), frame(2, "b", 0), frame(3, "a", 1))
    scores = {
        one["source"]["offset"]: (one["stream"], one["scores"]["bright"]) for one in said(items)
    }
    assert scores == {0: ("a", 0.9526), 1: ("b", 0.5), 2: ("b", 0.5), 3: ("a", 0.982)}


def test_a_batch_without_a_frame_does_not_reach_the_engine(path: FramePath) -> None:
    path.work(EndOfStream("a", 0, 0, 0), undecodable(1, "b"))
    assert path.engine.asked == []


# ------------------------------------------------------------------------------------ the memory


def test_a_row_is_zeroed_before_the_wave_in_which_its_stream_is_new(path: FramePath) -> None:
    row = path.predictor.rows.take()
    path.engine.write([row], {"sum": path.engine.read([row])["sum"] + 99})  # of its last user
    path.predictor.rows.give(row)
    path.work(frame(0, "a", 5))
    assert path.partition.streams["a"].row == row
    assert path.sum_of("a") == 5


def test_only_rows_that_start_afresh_are_zeroed(path: FramePath) -> None:
    path.work(frame(0, "a", 1), frame(1, "b", 2))
    path.work(frame(2, "a", 4), frame(3, "b", 8, at_ms=9_000))  # a gap of b
    rows = [path.partition.streams[name].row for name in "ab"]
    assert path.engine.asked_to("zero") == [rows, rows[1:]]
    assert (path.sum_of("a"), path.sum_of("b")) == (5, 8)


def test_a_gap_within_a_batch_starts_memory_afresh_between_its_waves(path: FramePath) -> None:
    items = path.work(frame(0, "a", 50), frame(1, "a", 2, at_ms=9_000))
    assert path.sum_of("a") == 2
    assert [one["memory"]["reset"] for one in said(items)] == ["new", "gap"]


def test_an_undecodable_frame_is_dead_lettered_and_leaves_the_memory_alone(
    path: FramePath,
) -> None:
    path.work(frame(0, "a", 1))
    bad, last = [*path.work(undecodable(1)), *path.work(frame(2, "a", 2))]
    assert (bad.fate, letter(bad)["reason"]) == (Fate.DEAD_LETTERED, b"undecodable")
    assert letter(bad)["error"].startswith(b"stream a offset 1: 10 bytes are no brightness")
    assert path.sum_of("a") == 3
    assert said([last])[0]["memory"]["reset"] is None


def test_a_reset_that_an_undecodable_frame_brought_is_carried_out_by_the_next(
    path: FramePath,
) -> None:
    path.work(frame(0, "a", 1))
    _, after = path.work(undecodable(1, epoch=2), replace(frame(2, "a", 2), epoch=2))
    assert said([after])[0]["memory"]["reset"] == "epoch"
    assert path.sum_of("a") == 2


def test_an_answer_that_is_not_finite_is_dead_lettered_and_the_next_frame_starts_afresh(
    path: FramePath,
) -> None:
    _, broken, after = path.work(frame(0, "a", 1), frame(1, "a", BROKEN), frame(2, "a", 2))
    assert (broken.fate, letter(broken)["reason"]) == (Fate.DEAD_LETTERED, b"nonfinite")
    assert (said([after])[0]["memory"]["reset"], path.sum_of("a")) == ("nonfinite", 2)


def test_an_answer_that_is_not_finite_does_no_harm_to_others_in_its_wave(path: FramePath) -> None:
    _, other = path.work(frame(0, "a", BROKEN), frame(1, "b", 2))
    assert (other.fate, path.sum_of("b")) == (Fate.PREDICTED, 2)


def test_the_memory_of_an_ended_stream_is_given_up_at_once(path: FramePath) -> None:
    path.work(frame(0, "a", 50), EndOfStream("a", 0, 1, 100))
    assert path.partition.streams["a"].pending_reset is Reset.ENDED


def test_after_its_end_a_stream_is_as_if_new(path: FramePath) -> None:
    path.work(frame(0, "a", 50), EndOfStream("a", 0, 1, 100))
    (item,) = said(path.work(frame(2, "a", 2)))
    assert (item["memory"]["reset"], item["prev"], path.sum_of("a")) == ("ended", "00000000", 2)


# ------------------------------------------------------------------------------ what is published


def test_a_prediction_is_chained_to_the_one_before_of_its_stream(path: FramePath) -> None:
    first, other, second = said(path.work(frame(0), frame(1, "b"), frame(2)))
    assert (first["prev"], other["prev"], second["prev"]) == (
        "00000000",
        "00000000",
        first["chain"],
    )


def test_a_prediction_is_published_in_its_frames_partition_under_its_streams_key(
    path: FramePath,
) -> None:
    (item,) = path.work(frame(0, "cam-1"))
    assert item.outgoing is not None
    assert (item.outgoing.partition, item.outgoing.key) == (0, b"cam-1")


@pytest.mark.parametrize("parent", [None, b"00-abc-def-01"])
def test_the_trace_of_a_frame_goes_on_with_its_prediction(
    path: FramePath, parent: bytes | None
) -> None:
    (item,) = path.work(replace(frame(0), traceparent=parent))
    assert item.outgoing is not None
    assert dict(item.outgoing.headers).get("traceparent") == parent


def test_a_bad_record_is_dead_lettered_with_its_own_reason(path: FramePath) -> None:
    bad = BadRecord(Record(0, 0, 0, None, b"?"), "malformed", "the key is none")
    (item,) = path.work(bad)
    said_of_it = letter(item)
    assert (said_of_it["reason"], said_of_it["error"]) == (b"malformed", b"the key is none")
    assert said_of_it["source-topic"] == b"frames"


def test_the_end_of_a_stream_publishes_nothing(path: FramePath) -> None:
    (item,) = path.work(EndOfStream("a", 0, 0, 0))
    assert (item.fate, item.outgoing) == (Fate.ENDED, None)


def test_resets_are_returned_once_their_frame_has_a_prediction(path: FramePath) -> None:
    batch: list[Frame] = [frame(0, "a", 1), frame(1, "b", BROKEN), frame(2, "a", 3, at_ms=9_000)]
    assert path.predictor.run(path.take(*batch)) == [Reset.NEW, Reset.GAP]
    assert path.predictor.run(path.take(frame(3, "b", 1, at_ms=9_000))) == [Reset.NEW]
