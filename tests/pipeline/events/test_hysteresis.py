"""When a label starts and ends, prediction by prediction."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.events.event_settings import EventSettings, LabelEvents
from pipeline.events.hysteresis import Sight, follow, forget
from pipeline.records import Reset
from pipeline.wire.events.event import Event
from pipeline.wire.events.event_memory import EventMemory, EventPlace
from pipeline.wire.json_text import Fields, read_object, write_object
from pipeline.wire.predictions import NEW_CHAIN

LABELS = ("stand", "walk", "run")
RULES = EventSettings(on=0.6, off=0.4, min_s=0.2).rules(LABELS, "m@1")
STAND, WALK, RUN, UNSURE = (0.9, 0.1, 0.0), (0.1, 0.9, 0.0), (0.0, 0.1, 0.9), (0.34, 0.33, 0.33)


class Stream:
    """The events of one stream, of ten predictions a second, and its memory as a log keeps it."""

    def __init__(self) -> None:
        self.memory = EventMemory()
        self.events: list[Event] = []
        self.offset = 0

    def see(self, *scores: tuple[float, ...], reset: Reset | None = None) -> "Stream":
        for one in scores:
            place = EventPlace(0, self.offset, self.offset * 100_000)
            sight = Sight(place, one.index(max(one)), one, 100_000 if self.offset else 0, reset)
            self.keep(follow("a", self.memory, sight, RULES))
            self.offset, reset = self.offset + 1, None
        return self

    def end(self, reset: Reset | None) -> "Stream":
        self.keep(forget("a", self.memory, reset))
        return self

    def keep(self, followed: tuple[EventMemory, tuple[bytes, ...]]) -> None:
        memory, values = followed
        self.events += [Event.read(value) for value in values]
        written = Fields(read_object(write_object(memory.content(self.offset))))
        self.memory = EventMemory.read(written, self.offset)  # as after a crash at this point
        assert self.memory == memory

    @property
    def told(self) -> list[tuple[str, str, int]]:
        return [(one.label, one.why, one.frames) for one in self.events]


def test_a_label_starts_when_it_has_held_and_ends_when_it_was_weak_as_long() -> None:
    stream = Stream().see(UNSURE, WALK, WALK, WALK, UNSURE, UNSURE, UNSURE)
    assert stream.told == [("walk", "held", 3), ("walk", "weak", 3)]
    start, end = stream.events
    assert start.id == end.id == "a/0/1"
    assert (end.started_at[17:], (end.ended_at or "")[17:]) == ("00.100Z", "00.300Z")
    assert (end.duration_s, end.peak, end.mean) == (0.2, 0.9, 0.9)


def test_a_dip_that_is_too_short_belongs_to_the_event() -> None:
    stream = Stream().see(WALK, WALK, WALK, UNSURE, UNSURE, WALK).end(Reset.ENDED)
    assert stream.told == [("walk", "held", 3), ("walk", "ended", 6)]
    assert stream.events[1].mean == 0.71


def test_a_flicker_starts_nothing() -> None:
    assert Stream().see(WALK, WALK, UNSURE, WALK, RUN, WALK, RUN).told == []


def test_another_label_replaces_it_and_begins_after_its_last_frame() -> None:
    stream = Stream().see(WALK, WALK, WALK, RUN, RUN, RUN)
    assert [(one.label, one.why) for one in stream.events] == [
        ("walk", "held"),
        ("walk", "replaced"),
        ("run", "held"),
    ]
    last = json.loads(stream.events[1].value)["last"]
    assert (last, stream.events[2].offset) == ({"partition": 0, "offset": 2}, 3)


@pytest.mark.parametrize(
    ("reset", "why", "goes_on"),
    [
        (Reset.GAP, "reset", True),
        (Reset.EPOCH, "reset", True),
        (Reset.ENDED, "ended", False),
        (Reset.NEW, "evicted", False),
        (None, "reset", True),
    ],
)
def test_the_end_of_memory_ends_it(reset: Reset | None, why: str, *, goes_on: bool) -> None:
    stream = Stream().see(WALK, WALK, WALK).end(reset)
    assert stream.events[-1].why == why
    assert (stream.memory.chain == stream.events[-1].chain) == goes_on
    assert (stream.memory.chain == NEW_CHAIN) != goes_on
    assert stream.end(reset).told == stream.told  # once


def test_frames_that_passed_unseen_end_it_before_the_next_one_counts() -> None:
    stream = Stream().see(WALK, WALK, WALK)
    stream.memory = replace(stream.memory, stale=True)
    assert stream.see(WALK, WALK, WALK).told[1:] == [("walk", "reset", 3), ("walk", "held", 3)]


def test_a_snapshot_of_another_offset_is_stale() -> None:
    memory = Stream().see(WALK, WALK, WALK).memory
    written = write_object(memory.content(7))
    assert EventMemory.read(Fields(read_object(written)), 8) == replace(memory, stale=True)


scores = st.sampled_from([STAND, WALK, RUN, UNSURE, (0.1, 0.45, 0.45)])
resets = st.sampled_from([None] * 9 + [Reset.GAP, Reset.ENDED, Reset.NEW])


@given(st.lists(st.tuples(scores, resets), max_size=60))
def test_starts_and_ends_alternate_and_every_start_has_its_end(
    predictions: list[tuple[tuple[float, ...], Reset | None]],
) -> None:
    stream = Stream()
    for one, reset in predictions:
        stream.see(one, reset=reset)
    stream.end(Reset.NEW)
    chain = NEW_CHAIN
    for start, end in zip(stream.events[::2], stream.events[1::2], strict=True):
        assert (start.starts, end.starts, end.id) == (True, False, start.id)
        assert start.intact
        assert end.intact
        assert start.prev in (chain, NEW_CHAIN)
        assert end.prev == start.chain
        chain = end.chain
    assert len({one.id for one in stream.events}) == len(stream.events) // 2


def test_a_label_may_have_its_own_limits() -> None:
    wanted = EventSettings(labels={"run": LabelEvents(on=0.5, min_s=0.0)})
    rules = wanted.rules(LABELS, "m@1")
    assert (rules.limits[1].on, rules.limits[2].on, rules.limits[2].min_us) == (6000, 5000, 0)
    assert wanted.deciding() == {
        "on": 0.6,
        "off": 0.4,
        "min_s": 0.5,
        "labels.run.on": 0.5,
        "labels.run.min_s": 0.0,
    }


def test_wrong_limits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"events.labels.run: off = 0.4 is above on = 0.3"):
        EventSettings(labels={"run": LabelEvents(on=0.3)})
    with pytest.raises(ConfigError, match=r"events.labels.fly: the bundle m@1 has no such label"):
        EventSettings(labels={"fly": LabelEvents(on=0.9)}).rules(LABELS, "m@1")


def test_the_schema_lists_the_keys_of_an_event_in_their_order() -> None:
    rules: dict[str, Any] = json.loads(
        files("pipeline").joinpath("schemas/event.schema.json").read_text("utf-8")
    )
    for event in Stream().see(WALK, WALK, WALK, RUN, RUN, RUN).events:
        assert list(json.loads(event.value)) == rules["required"] == list(rules["properties"])
