"""The memory of one stream while this worker owns its partition."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from pipeline.events.hysteresis import Followed, Sight, follow, forget
from pipeline.media.video.lanes.unit_lane import UnitJob
from pipeline.records import Admission, Destination, Frame, Keyframe, Outgoing, Reset
from pipeline.streams.admission import Rules, Verdict
from pipeline.streams.row_pool import RowPool
from pipeline.wire.events.event_memory import EventMemory, EventPlace
from pipeline.wire.predictions import NEW_CHAIN, Answer, MemoryFacts
from pipeline.wire.snapshots import Snapshot

# Streams with less context count as cold: the model has seen too little of what goes on.
WARM_US = 1_000_000
WARM_RECORDS = 10  # where records have no time


class Stream:
    """One stream's memory, except its tensors, which are in a row of the engine. One owner thread.

    Admission runs ahead of the engine: `head` is the admission memory after the newest record that
    arrived, `admission` the same after the newest record that is finished. Only `admission` is
    written to snapshots.
    """

    __slots__ = (
        "admission",
        "age_us",
        "chain",
        "events",
        "frames",
        "head",
        "keyframe",
        "label",
        "label_us",
        "name",
        "offset",
        "pending_reset",
        "row",
        "stepped_us",
        "taken_ms",
        "unknown",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.row: int | None = None
        self.head: Admission | None = None
        self.admission: Admission | None = None
        self.taken_ms = 0  # timestamp of the newest record that was taken into a batch
        self.offset = -1  # of the newest finished record
        self.stepped_us: int | None = None  # capture time of the last predicted frame
        self.age_us = 0
        self.frames = 0
        self.chain = NEW_CHAIN
        self.pending_reset: Reset | None = None
        self.keyframe: Keyframe | None = None  # None: no whole chain of units after `offset`
        self.events: EventMemory | None = None  # None: the group has never published any
        self.unknown: Mapping[str, JsonValue] = {}  # fields of a newer release, to be written back
        self.label: int | None = None  # of the last answer; only metrics use it, so snapshots
        self.label_us = 0  # do not hold it, nor the capture time since when it lasts

    @classmethod
    def restore(cls, snapshot: Snapshot) -> "Stream":
        """Return the stream of a snapshot. The caller fills its engine row."""
        stream = cls(snapshot.stream)
        stream.head = stream.admission = snapshot.admission
        stream.taken_ms = snapshot.admission.record_ms
        stream.offset = snapshot.offset
        stream.stepped_us = snapshot.stepped_us
        stream.age_us = snapshot.age_us
        stream.frames = snapshot.frames
        stream.chain = snapshot.chain
        stream.pending_reset = snapshot.pending_reset
        stream.keyframe = snapshot.keyframe
        stream.events = snapshot.events
        stream.unknown = snapshot.unknown
        return stream

    @property
    def idle(self) -> bool:
        """Whether every record of the stream that has arrived is finished."""
        return self.head is self.admission

    def is_warm(self, *, timed: bool) -> bool:
        """Return whether memory covers a second of the stream, or ten records without time."""
        covered = self.age_us >= WARM_US if timed else self.frames >= WARM_RECORDS
        return self.pending_reset is None and covered

    def arrive(self, verdict: Verdict) -> None:
        """Set the admission memory that the next record is judged by."""
        self.head = verdict.admission

    def take(self, verdict: Verdict) -> None:
        """Record that a judged record is taken into a batch. Records are taken in offset order."""
        self.taken_ms = verdict.admission.record_ms

    def take_row(self, rows: "RowPool") -> None:
        """Take an engine row for the tensors, unless the stream has one."""
        if self.row is None:
            self.row = rows.take()

    def give_row(self, rows: "RowPool") -> None:
        """Return the row to the pool, if the stream has one."""
        if self.row is not None:
            rows.give(self.row)
            self.row = None

    def settle(self, verdict: Verdict, offset: int) -> None:
        """Record that the record at `offset` is finished, with any fate."""
        self.admission = verdict.admission
        self.offset = offset

    def begin_chain(self, keyframe: Keyframe | None) -> None:
        """Set the keyframe whose chain goes on after `offset`; None: no chain does."""
        self.keyframe = keyframe

    def follow_chain(self, unit: UnitJob) -> None:
        """Set the keyframe after a decoded unit is finished, with any fate.

        A unit that was left out may be a part of the chain: decoding from the keyframe decides.
        """
        result = unit.future.result()
        if result.key or (not result.decoded and unit.frame.keyframe):
            self.keyframe = Keyframe(unit.frame.offset, unit.now_ms)
        elif result.decoded and not result.whole:
            self.keyframe = None

    def require_reset(self, reset: Reset) -> None:
        """Reset memory before the next frame.

        A pending NEW or ENDED, which forget the stream, is never replaced by a weaker reason.
        """
        pending = self.pending_reset
        if pending is None or reset.forgets_stream or not pending.forgets_stream:
            self.pending_reset = reset

    def begin(self, frame: Frame, verdict: Verdict, rules: Rules) -> MemoryFacts:
        """Apply a pending reset, then return the state of memory before `frame`."""
        if verdict.reset is not None:
            self.require_reset(verdict.reset)
        reset = self.pending_reset
        if reset is not None and reset.forgets_stream:
            self.chain, self.stepped_us = NEW_CHAIN, None
        step_us = None if self.stepped_us is None else frame.captured_us - self.stepped_us
        if reset is None and step_us is not None and rules.is_gap(step_us):
            reset = self.pending_reset = Reset.GAP
        if reset is not None:
            self.frames = self.age_us = 0
        gap_us = step_us if step_us is not None and step_us > rules.long_step_us else None
        return MemoryFacts(self.frames, self.age_us, gap_us, reset, verdict.note)

    def spot(
        self, frame: Frame, answer: Answer, memory: MemoryFacts, rules: Rules
    ) -> tuple[Outgoing, ...]:
        """Return the events that a prediction causes. Call it before `advance`."""
        if rules.events is None:
            self._leave_events()
            return ()
        before_us = frame.captured_us if self.stepped_us is None else self.stepped_us
        sight = Sight(
            place=EventPlace(frame.partition, frame.offset, frame.captured_us),
            label=answer.label,
            scores=answer.scores,
            step_us=max(0, frame.captured_us - before_us),
            reset=memory.reset,
        )
        followed = follow(self.name, self.events or EventMemory(), sight, rules.events)
        return self._keep_events(frame.partition, followed)

    def end_event(self, partition: int, reset: Reset | None, rules: Rules) -> tuple[Outgoing, ...]:
        """Return the end of the open event if memory is reset, or frames have passed unseen.

        `reset` is one that comes without a prediction, or before the next one; None: there is none.
        """
        if rules.events is None:
            self._leave_events()
        if self.events is None or rules.events is None or not (reset or self.events.stale):
            return ()
        return self._keep_events(partition, forget(self.name, self.events, reset))

    def _leave_events(self) -> None:
        if self.events is not None:
            self.events = replace(self.events, stale=True)

    def _keep_events(self, partition: int, followed: Followed) -> tuple[Outgoing, ...]:
        self.events, values = followed
        key = self.name.encode()
        return tuple(Outgoing(Destination.EVENTS, partition, key, value) for value in values)

    def advance(self, frame: Frame, chain: str) -> None:
        """Record that the model has stepped `frame` and that its prediction is written."""
        if self.frames and self.stepped_us is not None:
            self.age_us += max(0, frame.captured_us - self.stepped_us)
        self.frames += 1
        self.stepped_us = frame.captured_us
        self.chain = chain
        self.pending_reset = None

    def record_label(self, label: int, captured_us: int, *, afresh: bool) -> int | None:
        """Record the newest label. Returns how long (us) the previous one lasted, if it changed.

        Returns None if the label is the same, after a reset (`afresh`), and for the first answer
        after a restore.
        """
        before, since_us = self.label, self.label_us
        if label == before and not afresh:
            return None
        self.label, self.label_us = label, captured_us
        return None if before is None or afresh else max(0, captured_us - since_us)
