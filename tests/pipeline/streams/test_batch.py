"""Which records are taken for a batch, and in which waves their frames are stepped."""

from collections import Counter
from concurrent.futures import Future
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import InputArray
from pipeline.records import BadRecord, EndOfStream, Frame, Record
from pipeline.streams.admission import Rules
from pipeline.streams.batch import Batcher, waves
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.wire.changelog import Manifest

RULES = Rules.of(rate_hz=None, gap_reset_s=2, stream_ttl_s=600)


def frame(number: int, offset: int, stream: str = "cam-1") -> Frame:
    return Frame(stream, number, offset, 0, offset * 1_000, captured_given=True, content=b"x")


def partition(number: int, kinds: str, streams: str = "") -> Partition:
    """Make records by letter: `f` decoded frame, `w` one being decoded, `e` end, `b` bad record."""
    manifest = Manifest(0, 0, 0, "w", 1, "b", 4, 0)
    made = Partition(number, era=1, manifest=manifest)
    for offset, kind in enumerate(kinds):
        stream = f"{number}-{streams[offset] if streams else 'a'}"
        if kind == "b":
            made.admit(
                BadRecord(Record(number, offset, 0, None, b""), "malformed", "no key"), RULES
            )
        elif kind == "e":
            made.admit(EndOfStream(stream, number, offset, 0), RULES)
        else:
            item = made.admit(frame(number, offset, stream), RULES)
            assert item is not None
            pixels = Future[InputArray]()
            if kind == "f":
                pixels.set_result(np.zeros((1, 1, 3), np.uint8))
            item.decode(pixels)
    return made


def offsets(taken: dict[Partition, list[Item]]) -> dict[int, list[int]]:
    return {part.number: [item.record.offset for item in items] for part, items in taken.items()}


# ------------------------------------------------------------------------------------------- take


def test_whatever_is_ready_is_taken_at_once() -> None:
    assert offsets(Batcher(16).take([partition(0, "ff"), partition(1, "f")])) == {0: [0, 1], 1: [0]}


def test_nothing_is_taken_where_nothing_waits() -> None:
    assert Batcher(16).take([]) == {}
    assert Batcher(16).take([partition(0, ""), partition(1, "w")]) == {}


def test_nothing_is_taken_from_behind_a_frame_that_is_in_the_decoder() -> None:
    first, second = partition(0, "fbwfeb"), partition(1, "wff")
    assert offsets(Batcher(16).take([first, second])) == {0: [0, 1]}
    assert [item.record.offset for item in first.items] == [2, 3, 4, 5]
    assert len(second.items) == 3


def test_a_batch_has_no_more_frames_than_it_may() -> None:
    taken = Batcher(3).take([partition(0, "ffff"), partition(1, "ffff")])
    assert sum(map(len, taken.values())) == 3


def test_what_is_no_frame_costs_nothing() -> None:
    assert offsets(Batcher(1).take([partition(0, "bebebf")])) == {0: [0, 1, 2, 3, 4, 5]}


def test_partitions_share_a_batch_evenly() -> None:
    taken = Batcher(12).take([partition(0, "f" * 50), partition(1, "f" * 50), partition(2, "ff")])
    assert [len(items) for items in taken.values()] == [5, 5, 2]


@pytest.mark.parametrize("max_batch", [1, 2, 3, 4])
def test_no_backlog_starves_another_partition(max_batch: int) -> None:
    parts = [partition(number, "f" * 40) for number in range(5)]
    batcher = Batcher(max_batch)
    for _ in range(40 // max_batch):
        batcher.take(parts)
    left = [len(part.items) for part in parts]
    assert max(left) - min(left) <= max_batch + 1


@given(
    st.lists(st.text("fffwbe", max_size=12), max_size=5).map(
        lambda kinds: [partition(number, text) for number, text in enumerate(kinds)]
    ),
    st.integers(1, 8),
)
def test_a_batch_is_the_ready_beginning_of_each_partition(
    parts: list[Partition], max_batch: int
) -> None:
    before = {part: list(part.items) for part in parts}
    taken = Batcher(max_batch).take(parts)
    assert sum(item.steps for items in taken.values() for item in items) <= max_batch
    for part in parts:
        got = taken.get(part, [])
        assert got + list(part.items) == before[part]
        assert all(item.ready for item in got)


@given(st.lists(st.text("ffbe", max_size=12), max_size=5), st.integers(1, 8))
def test_a_batch_is_full_or_nothing_that_is_ready_is_left(kinds: list[str], max_batch: int) -> None:
    parts = [partition(number, text) for number, text in enumerate(kinds)]
    taken = list(chain.from_iterable(Batcher(max_batch).take(parts).values()))
    full = sum(item.steps for item in taken) == max_batch
    assert full or not any(part.items for part in parts)


# ------------------------------------------------------------------------------------------ waves

STREAMS = st.lists(
    st.lists(st.tuples(st.sampled_from("fffeb"), st.sampled_from("abc")), max_size=15), max_size=3
)


def batch(kinds: list[list[tuple[str, str]]]) -> list[Item]:
    parts = [
        partition(number, "".join(k for k, _ in part), "".join(s for _, s in part))
        for number, part in enumerate(kinds)
    ]
    return list(chain.from_iterable(Batcher(1_000).take(parts).values()))


@given(STREAMS)
def test_waves_lose_nothing_and_add_nothing(kinds: list[list[tuple[str, str]]]) -> None:
    items = batch(kinds)
    waved = list(chain.from_iterable(waves(items)))
    assert Counter(map(id, waved)) == Counter(map(id, items))


@given(STREAMS)
def test_a_streams_records_keep_their_order(kinds: list[list[tuple[str, str]]]) -> None:
    items = batch(kinds)
    waved = list(chain.from_iterable(waves(items)))
    for stream in {item.stream for item in items if item.stream is not None}:
        assert [i for i in waved if i.stream is stream] == [i for i in items if i.stream is stream]


@given(STREAMS)
def test_a_wave_holds_one_frame_of_a_stream_as_its_last_record(
    kinds: list[list[tuple[str, str]]],
) -> None:
    for wave in waves(batch(kinds)):
        for stream in {item.stream for item in wave if item.stream is not None}:
            of_stream = [item.steps for item in wave if item.stream is stream]
            assert sum(of_stream) <= 1
            assert not any(of_stream[:-1])


@given(STREAMS)
def test_the_kth_wave_holds_each_streams_kth_frame(kinds: list[list[tuple[str, str]]]) -> None:
    items = batch(kinds)
    frames_seen: Counter[str] = Counter()
    for number, wave in enumerate(waves(items)):
        for item in wave:
            if item.steps and item.stream is not None:
                assert frames_seen[item.stream.name] == number
                frames_seen[item.stream.name] += 1
    assert sum(frames_seen.values()) == sum(item.steps for item in items)


def test_an_end_of_stream_comes_between_the_frames_around_it() -> None:
    items = batch([[("f", "a"), ("e", "a"), ("f", "a")]])
    assert [[item.record.offset for item in wave] for wave in waves(items)] == [[0], [1, 2]]


def test_equal_names_in_two_partitions_are_two_streams() -> None:
    items = batch([[("f", "a")], [("f", "a")]])
    for item in items:
        assert item.stream is not None
        item.stream.name = "cam-1"
    assert [len(wave) for wave in waves(items)] == [2]
