"""When a stream begins, what records of unknown streams leave behind, and how many streams fit."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import InputArray
from engines.table import StateTable
from pipeline.errors import UndecodableFrameError
from pipeline.records import Admission, Destination, EndOfStream, Fate, Frame, Outgoing, Reset
from pipeline.streams import admission
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.wire.predictions import Answer
from tests.pipeline.changelogs import manifest

TTL_MS = 1_000
MOST = 2
ANSWER = Answer(b"{}", "00000000", 0, 0.5)
RULES = Rules.of(rate_hz=15, gap_reset_s=2, stream_ttl_s=TTL_MS / 1000, max_streams=MOST)


@dataclass(frozen=True)
class Arriving:
    """A record of a script: `f` a picture, `g` garbage, `e` the end of the stream."""

    kind: str
    stream: str
    ms: int
    seq: int | None = None

    def at(self, offset: int) -> Frame | EndOfStream:
        if self.kind == "e":
            return EndOfStream(self.stream, 0, offset, self.ms)
        us = self.ms * 1000
        content = b"picture" if self.kind == "f" else b"garbage"
        return Frame(
            self.stream, 0, offset, self.ms, us, captured_given=True, content=content, seq=self.seq
        )


def decoded(frame: Frame) -> Future[InputArray]:
    future = Future[InputArray]()
    if frame.content == b"picture":
        future.set_result(np.zeros((1, 1, 3), np.uint8))
    else:
        future.set_exception(UndecodableFrameError("7 bytes of garbage"))
    return future


@dataclass
class Intaking:
    """One partition with stand-ins for decoders and the engine."""

    partition: Partition = field(default_factory=lambda: Partition(0, era=0, manifest=manifest()))
    fates: list[Fate] = field(default_factory=list)

    def arrive(self, *records: Arriving) -> list[Item]:
        first = self.partition.next_offset + len(self.partition.items)
        items = []
        for offset, record in enumerate(records, first):
            item = self.partition.admit(record.at(offset), RULES)
            assert item is not None
            items.append(item)
            if item.undecoded is not None:
                item.decode(decoded(item.undecoded))
        return items

    def step(self, most: int) -> None:
        """Take records as one batch, and do what the predictor does."""
        items = [self.partition.take_ready() for _ in range(min(most, len(self.partition.items)))]
        taken = [item for item in items if item is not None]
        for item in taken:
            if item.fate is None and item.failure is not None:
                item.dead_letter(lambda: Outgoing(Destination.DEAD_LETTERS, None, b"", b""))
            elif item.fate is None:
                item.predict(ANSWER, Outgoing(Destination.PREDICTIONS, 0, b"", b""), held_us=None)
            if item.stream is not None and item.verdict is not None:
                item.stream.settle(item.verdict, item.record.offset)
        self.partition.finish(taken)
        self.fates += [item.final_fate for item in taken]

    def work(self, *records: Arriving) -> list[Item]:
        items = self.arrive(*records)
        self.step(len(self.partition.items))
        return items

    def crash(self) -> None:
        """Go on with a new partition that has what a checkpoint holds, and nothing else."""
        before, after = self.partition, []
        for stream in before.streams.values():
            if stream.admission is not None:
                again = Stream(stream.name)
                again.head = again.admission = stream.admission
                again.taken_ms = stream.admission.record_ms
                after.append(again)
        known = manifest(next_offset=before.next_offset, stream_time_ms=before.stream_time_ms)
        self.partition = Partition(0, era=1, manifest=known)
        self.partition.adopt(after)

    @property
    def remembered(self) -> set[str]:
        return set(self.partition.streams)


# --------------------------------------------------------------------- streams that have not begun


@pytest.fixture
def intaking() -> Intaking:
    return Intaking()


@pytest.mark.parametrize("kinds", ["g", "e", "ggg", "ge", "eg", "egeg"])
def test_records_without_a_picture_leave_nothing_of_an_unknown_stream(
    intaking: Intaking, kinds: str
) -> None:
    intaking.work(*(Arriving(kind, "a", n * 100, seq=n) for n, kind in enumerate(kinds)))
    fates = {"g": Fate.DEAD_LETTERED, "e": Fate.ENDED}
    assert intaking.fates == [fates[kind] for kind in kinds]
    assert intaking.remembered == set()
    assert intaking.partition.close_checkpoint().changed == {}


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_the_first_picture_begins_a_stream_whatever_came_before(
    intaking: Intaking, batch: int
) -> None:
    _, _, first, second = intaking.arrive(
        Arriving("g", "a", 900, seq=7),
        Arriving("e", "a", 900),
        Arriving("f", "a", 500, seq=7),  # neither late nor a duplicate: no frame was before it
        Arriving("f", "a", 500, seq=7),
    )
    while intaking.partition.items:
        intaking.step(batch)
    assert first.verdict is not None
    assert (first.verdict.reset, first.verdict.note) == (Reset.NEW, None)
    assert (first.fate, second.fate) == (Fate.PREDICTED, Fate.DUPLICATE)


def test_once_a_stream_has_begun_a_frame_that_does_not_decode_changes_its_memory(
    intaking: Intaking,
) -> None:
    intaking.work(Arriving("f", "a", 0, seq=1), Arriving("g", "a", 200, seq=2))
    intaking.work(Arriving("f", "a", 200, seq=2))
    assert intaking.fates == [Fate.PREDICTED, Fate.DEAD_LETTERED, Fate.DUPLICATE]


def test_the_marker_of_a_known_streams_end_stays(intaking: Intaking) -> None:
    intaking.work(Arriving("f", "a", 0), Arriving("e", "a", 100))
    (item,) = intaking.work(Arriving("f", "a", 200))
    assert item.verdict is not None
    assert item.verdict.reset is Reset.ENDED


def test_waiting_frames_of_a_stream_are_judged_as_soon_as_it_begins(intaking: Intaking) -> None:
    items = intaking.arrive(*(Arriving("f", "a", 100 * n, seq=n) for n in (0, 1, 2, 2)))
    intaking.step(1)
    assert [item.fate for item in items] == [Fate.PREDICTED, None, None, Fate.DUPLICATE]
    assert [item.steps for item in items[1:]] == [True, True, False]
    assert not any(item.deferred for item in items)


def test_no_frame_of_a_stream_without_memory_is_skipped_for_a_newer_one(
    intaking: Intaking,
) -> None:
    items = intaking.arrive(*(Arriving("f", "a", n * 100) for n in range(3)))
    intaking.partition.keep_newest()
    intaking.step(1)
    intaking.partition.keep_newest()
    assert [item.fate for item in items] == [Fate.PREDICTED, Fate.SKIPPED, None]


# -------------------------------------------------------------------------------- too many streams


def full() -> Intaking:
    intaking = Intaking()
    intaking.work(Arriving("f", "a", 0), Arriving("f", "b", 500))
    return intaking


@pytest.mark.parametrize("kind", ["f", "g"])
def test_a_stream_above_the_limit_is_turned_away_and_leaves_nothing(kind: str) -> None:
    intaking = full()
    (first,) = intaking.work(Arriving(kind, "c", 600))  # it is decoded before that is known
    (second,) = intaking.work(Arriving(kind, "c", 700))
    assert [first.fate, second.fate] == [Fate.DEAD_LETTERED] * 2
    assert [type(one.refusal).__name__ for one in (first, second)] == ["TooManyStreamsError"] * 2
    assert second.input is None
    assert intaking.remembered == {"a", "b"}


def test_streams_that_have_begun_go_on_above_the_limit() -> None:
    intaking = full()
    intaking.work(Arriving("f", "c", 600), Arriving("f", "a", 700), Arriving("f", "b", 800))
    assert intaking.fates[2:] == [Fate.DEAD_LETTERED, Fate.PREDICTED, Fate.PREDICTED]


def test_the_end_of_an_unknown_stream_needs_no_room() -> None:
    intaking = full()
    intaking.work(Arriving("e", "c", 600))
    assert intaking.fates[2:] == [Fate.ENDED]


@pytest.mark.parametrize(("ms", "fate"), [(1_000, Fate.DEAD_LETTERED), (1_001, Fate.PREDICTED)])
@pytest.mark.parametrize("crashes", [True, False])
def test_a_stream_that_expires_makes_room(ms: int, fate: Fate, *, crashes: bool) -> None:
    intaking = full()
    intaking.work(Arriving("f", "c", 900))
    if crashes:
        intaking.crash()
    intaking.work(Arriving("f", "c", ms))
    assert intaking.fates[3:] == [fate]


def test_a_stream_that_returns_after_its_time_to_live_needs_room_like_any_other() -> None:
    intaking = full()
    intaking.work(Arriving("f", "c", 1_200), Arriving("f", "a", 1_300))
    assert intaking.fates[2:] == [Fate.PREDICTED, Fate.DEAD_LETTERED]


def test_a_timestamp_that_goes_back_shortens_the_time_for_which_its_stream_takes_room() -> None:
    intaking = Intaking()
    intaking.work(Arriving("f", "a", 5_000), Arriving("f", "b", 5_000), Arriving("f", "c", 5_100))
    intaking.work(Arriving("f", "a", 4_500), Arriving("f", "b", 5_600), Arriving("f", "c", 5_650))
    assert intaking.fates[2] is Fate.DEAD_LETTERED
    assert intaking.fates[5] is Fate.PREDICTED


def test_more_streams_than_the_limit_are_restored_and_go_on() -> None:
    intaking = full()
    restored = Stream("c")
    restored.head = restored.admission = Admission(record_ms=500, seen_us=500_000)
    restored.taken_ms = 500
    intaking.partition.adopt([restored])
    intaking.work(Arriving("f", "c", 600), Arriving("f", "d", 700))
    assert intaking.fates[2:] == [Fate.PREDICTED, Fate.DEAD_LETTERED]


# ----------------------------------------------------------------- the same rule, record by record


class Rulebook:
    """The rule in its plainest form: one record after the other, and every stream counted."""

    def __init__(self) -> None:
        self.memory: dict[str, Admission] = {}
        self._now_ms = 0

    def fate(self, record: Frame | EndOfStream, *, decodes: bool) -> Fate:
        self._now_ms = max(self._now_ms, record.record_ms)
        live = {
            name: one
            for name, one in self.memory.items()
            if not admission.expired(one, self._now_ms, RULES)
        }
        last = live.get(record.stream)
        if isinstance(record, EndOfStream):
            if last is not None:
                self.memory[record.stream] = admission.end(record).admission
            return Fate.ENDED
        if last is None and (len(live) >= MOST or not decodes):
            return Fate.DEAD_LETTERED
        verdict = admission.admit(last, record, RULES)
        self.memory[record.stream] = verdict.admission
        return verdict.fate or (Fate.PREDICTED if decodes else Fate.DEAD_LETTERED)


records = st.builds(
    Arriving,
    st.sampled_from("fffge"),
    st.sampled_from("abcd"),
    st.integers(0, 40).map(lambda n: n * 100),  # timestamps of any order
    st.one_of(st.none(), st.integers(0, 5)),
)
ordered = st.lists(records, max_size=60).map(lambda found: sorted(found, key=lambda one: one.ms))
doings = st.lists(
    st.one_of(st.integers(1, 9), st.integers(1, 9).map(lambda n: -n), st.sampled_from("sc")),
    max_size=40,
)


def as_the_rulebook_says(script: Sequence[Arriving]) -> tuple[list[Fate], dict[str, Admission]]:
    rulebook = Rulebook()
    fates = [
        rulebook.fate(one.at(offset), decodes=one.kind == "f") for offset, one in enumerate(script)
    ]
    return fates, rulebook.memory


def play(script: Sequence[Arriving], doing: Sequence[int | str]) -> Intaking:
    """Let records arrive (n), take batches (-n), sweep (s) and crash (c), in any order."""
    intaking, rows = Intaking(), RowPool(StateTable([]))
    for one in (*doing, len(script), -len(script)):
        done = len(intaking.fates) + len(intaking.partition.items)
        if one == "s":
            intaking.partition.sweep(RULES, rows)
        elif one == "c":
            intaking.crash()
        elif isinstance(one, int) and one > 0:
            intaking.arrive(*script[done : done + one])
        elif isinstance(one, int):
            intaking.step(-one)
    return intaking


@settings(max_examples=400, deadline=None)
@given(st.one_of(ordered, st.lists(records, max_size=60)), doings)
def test_every_record_ends_as_the_rule_says_however_it_is_batched_swept_and_restored(
    script: list[Arriving], doing: list[int | str]
) -> None:
    intaking = play(script, doing)
    fates, memory = as_the_rulebook_says(script)
    assert intaking.fates == fates
    for name, stream in intaking.partition.streams.items():
        assert stream.admission == stream.head == memory[name]
