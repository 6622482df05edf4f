"""The rule of events: a pure function of a stream's predictions and of what is remembered.

A label starts when it was the prediction's label, with at least its `on`, in every frame for
`min_s`. It ends when its score was below its `off` in every frame for `min_s`, when another label
starts, or when the stream's memory ends. At most one label of a stream is open, so starts and ends
alternate. Time is the sum of the steps of capture time that go forwards, so a wrong clock can make
an event late, and never holds it open for good.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.events.event_rules import EventRules
from pipeline.records import Reset
from pipeline.wire.events.event import Why, end_event, write_start
from pipeline.wire.events.event_memory import (
    WHOLE,
    Candidate,
    EventMemory,
    EventPlace,
    Evidence,
    OpenEvent,
)

Followed = tuple[EventMemory, tuple[bytes, ...]]
"""The memory after a record, and the values of the events that it caused, in order."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One prediction: `label` is the index of the best score, `scores` are in bundle order.

    `step_us` is the capture time since the stream's last prediction, 0 if it went backwards.
    `reset` is why memory was reset before the frame.
    """

    place: EventPlace
    label: int
    scores: Sequence[float]
    step_us: int
    reset: Reset | None

    def score(self, index: int) -> int:
        """Return a label's score as it is published, in ten thousandths."""
        return round(round(self.scores[index], 4) * WHOLE)


def follow(stream: str, memory: EventMemory, sight: Sight, rules: EventRules) -> Followed:
    """Return the memory after a prediction, and what started or ended with it."""
    values: tuple[bytes, ...] = ()
    if sight.reset is not None or memory.stale:
        memory, values = forget(stream, memory, sight.reset)
    memory = replace(memory, candidate=_candidate(memory, sight, rules))
    event = None if memory.open is None else _watched(memory.open, memory.candidate, sight, rules)
    memory = replace(memory, open=event)
    why = _over(memory, rules)
    if why is not None:
        memory, ended = end_event(stream, memory, why)
        values += ended
    if memory.candidate is not None and _is_held(memory.candidate, rules):
        memory, started = _start(stream, memory, memory.candidate, sight.place, rules)
        values += started
    return memory, values


def forget(stream: str, memory: EventMemory, reset: Reset | None) -> Followed:
    """End what is open because the stream's memory ends; None: frames have passed unseen.

    The chain begins anew only where the stream itself does.
    """
    memory, values = end_event(stream, memory, Why.of(reset))
    chain = EventMemory().chain if reset is not None and reset.forgets_stream else memory.chain
    return replace(memory, candidate=None, chain=chain, stale=False), values


def _candidate(memory: EventMemory, sight: Sight, rules: EventRules) -> Candidate | None:
    """Return the label that may start after this prediction: its own, if it is strong enough."""
    label, score, before = rules.labels[sight.label], sight.score(sight.label), memory.candidate
    opened = memory.open is not None and memory.open.label == label
    if opened or score < rules.limits[sight.label].on:
        return None
    if before is not None and before.label == label:
        return replace(before, seen=before.seen.plus(score, sight.step_us))
    return Candidate(label, sight.place, Evidence().plus(score, 0))


def _watched(
    event: OpenEvent, candidate: Candidate | None, sight: Sight, rules: EventRules
) -> OpenEvent:
    """Return an open event after a prediction. Its frames end where another label begins."""
    index = rules.index(event.label)
    if index is None:
        return event
    score = sight.score(index)
    doubtful = event.doubtful.plus(score, sight.step_us)
    if score >= rules.limits[index].off:
        if candidate is not None:
            return replace(event, doubtful=doubtful, weak_us=None)
        seen = event.seen.merged(doubtful)
        return replace(event, last=sight.place, seen=seen, doubtful=Evidence(), weak_us=None)
    weak_us = 0 if event.weak_us is None else event.weak_us + sight.step_us
    return replace(event, doubtful=doubtful, weak_us=weak_us)


def _over(memory: EventMemory, rules: EventRules) -> Why | None:
    """Return why the open event ends now; None if it does not, or there is none."""
    event = memory.open
    if event is None:
        return None
    index = rules.index(event.label)
    if index is None:  # another bundle goes on with the memory of this one, and lacks the label
        return Why.RESET
    if memory.candidate is not None and _is_held(memory.candidate, rules):
        return Why.REPLACED
    weak = event.weak_us is not None and event.weak_us >= rules.limits[index].min_us
    return Why.WEAK if weak else None


def _is_held(candidate: Candidate, rules: EventRules) -> bool:
    index = rules.index(candidate.label)
    return index is not None and candidate.seen.span_us >= rules.limits[index].min_us


def _start(
    stream: str, memory: EventMemory, candidate: Candidate, last: EventPlace, rules: EventRules
) -> Followed:
    event = OpenEvent(candidate.label, rules.model, candidate.first, last, candidate.seen)
    value, chain = write_start(stream, event, memory.chain)
    return replace(memory, open=event, candidate=None, chain=chain), (value,)
