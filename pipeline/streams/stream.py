"""What is remembered of each stream while its partition is ours."""

from collections.abc import Mapping

from pydantic import JsonValue

from pipeline.records import Admission, Frame, Reset
from pipeline.streams.admission import Rules, Verdict
from pipeline.streams.row_pool import RowPool
from pipeline.wire.predictions import NEW_CHAIN, MemoryFacts
from pipeline.wire.snapshots import Snapshot

WARM_US = 1_000_000  # who remembers less is cold: the model has not seen much of the action yet


class Stream:
    """One stream's memory, but for the tensors, which are in the engine's row. One owner thread.

    Admission runs ahead of the engine: `head` is what the next record to arrive is judged by,
    `admission` the same after the newest record that is finished. Only the latter is durable.
    """

    __slots__ = (
        "admission",
        "age_us",
        "chain",
        "frames",
        "head",
        "label",
        "label_us",
        "name",
        "offset",
        "pending_reset",
        "row",
        "stepped_us",
        "unknown",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.row: int | None = None
        self.head: Admission | None = None
        self.admission: Admission | None = None
        self.offset = -1  # of the newest finished record
        self.stepped_us: int | None = None  # capture time of the last predicted frame
        self.age_us = 0
        self.frames = 0
        self.chain = NEW_CHAIN
        self.pending_reset: Reset | None = None
        self.unknown: Mapping[str, JsonValue] = {}  # fields of a newer release, to be written back
        self.label: int | None = None  # the last answer's and since when; only metrics ask for it,
        self.label_us = 0  # so no snapshot has it

    @classmethod
    def restore(cls, snapshot: Snapshot) -> "Stream":
        """Take up a stream where its snapshot left it; the row is the caller's to fill."""
        stream = cls(snapshot.stream)
        stream.head = stream.admission = snapshot.admission
        stream.offset = snapshot.offset
        stream.stepped_us = snapshot.stepped_us
        stream.age_us = snapshot.age_us
        stream.frames = snapshot.frames
        stream.chain = snapshot.chain
        stream.pending_reset = snapshot.pending_reset
        stream.unknown = snapshot.unknown
        return stream

    @property
    def idle(self) -> bool:
        """Whether every record of the stream that has arrived is finished."""
        return self.head is self.admission

    @property
    def warm(self) -> bool:
        """Whether the model remembers at least a second of the stream."""
        return self.pending_reset is None and self.age_us >= WARM_US

    def arrive(self, verdict: Verdict) -> None:
        """Judge the next record by what was decided of the one that has just arrived."""
        self.head = verdict.admission

    def take_row(self, rows: "RowPool") -> None:
        """Take a row of the engine for the tensors, unless it has one."""
        if self.row is None:
            self.row = rows.take()

    def give_row(self, rows: "RowPool") -> None:
        """Give the row back, if it has one."""
        if self.row is not None:
            rows.give(self.row)
            self.row = None

    def settle(self, verdict: Verdict, offset: int) -> None:
        """Take note that the record at `offset` is finished, whatever became of it."""
        self.admission = verdict.admission
        self.offset = offset

    def owe(self, reset: Reset) -> None:
        """Let memory start afresh before the next frame. That the stream is new stays said."""
        pending = self.pending_reset
        if pending is None or reset.forgets_stream or not pending.forgets_stream:
            self.pending_reset = reset

    def begin(self, frame: Frame, verdict: Verdict, rules: Rules) -> MemoryFacts:
        """Tell what is remembered before `frame`, having forgotten what is to be forgotten."""
        if verdict.reset is not None:
            self.owe(verdict.reset)
        reset = self.pending_reset
        if reset is not None and reset.forgets_stream:
            self.chain, self.stepped_us = NEW_CHAIN, None
        step_us = None if self.stepped_us is None else frame.captured_us - self.stepped_us
        if reset is None and step_us is not None and step_us > rules.gap_reset_us:
            reset = self.pending_reset = Reset.GAP
        if reset is not None:
            self.frames = self.age_us = 0
        gap_us = step_us if step_us is not None and step_us > rules.long_step_us else None
        return MemoryFacts(self.frames, self.age_us, gap_us, reset, verdict.note)

    def advance(self, frame: Frame, chain: str) -> None:
        """Take note that the model has stepped over `frame` and its prediction is written."""
        if self.frames and self.stepped_us is not None:
            self.age_us += max(0, frame.captured_us - self.stepped_us)
        self.frames += 1
        self.stepped_us = frame.captured_us
        self.chain = chain
        self.pending_reset = None

    def say(self, label: int, captured_us: int, *, afresh: bool) -> int | None:
        """Take note of the newest answer; for how long the one before it held, if that is over.

        That is unknown where memory starts afresh, and at the first answer after a restore.
        """
        before, since_us = self.label, self.label_us
        if label == before and not afresh:
            return None
        self.label, self.label_us = label, captured_us
        return None if before is None or afresh else max(0, captured_us - since_us)
