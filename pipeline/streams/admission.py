"""Decides which frames are let through, from the record and the stream's admission memory alone.

It uses no clock, no decoder and no engine, so a replay of the log decides the same.
All times are integer microseconds since 1970.
"""

import math
from dataclasses import dataclass, replace

from pipeline.config import KEYFRAME_S, MAX_STREAMS
from pipeline.events.event_rules import EventRules
from pipeline.media.decoder import EarlyRefusal, never_refused
from pipeline.records import Admission, EndOfStream, Fate, Frame, Reset

RECENT_US = 300_000_000
REORDER_WINDOW = 64  # without capture times, a sequence number less far back than this is a repeat
CLOCK_NOTE = "clock"
HOLE_NOTE = "hole"


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits that the bundle and the operator set.

    `period_us` is 1 / rate_hz of the bundle, rounded down so that a camera at exactly that rate
    never falls behind the plan. It is None if the bundle names no rate: then no frame is sampled
    out. `gap_reset_us` is the silence that ends a memory, None if none does. Records that are not
    `timed` have an order alone: what matters between them are holes in `seq`. A stream does not
    begin where `most_streams` of its partition are within their time to live. `refused` says of
    some frames, by their bytes alone, why they cannot be decoded: no stream begins with these, and
    nobody tries to decode them for that. A unit of video is not decoded if its keyframe is more
    than `keyframe_ms` of the partition's time before it. `events`: None if none are published.
    """

    period_us: int | None
    gap_reset_us: int | None
    ttl_ms: int
    most_streams: int
    keyframe_ms: int = round(KEYFRAME_S * 1000)
    refused: EarlyRefusal = never_refused
    timed: bool = True
    events: EventRules | None = None

    @classmethod
    def of(
        cls,
        *,
        rate_hz: float | None,
        gap_reset_s: float | None,
        stream_ttl_s: float,
        max_streams: int = MAX_STREAMS,
        keyframe_s: float = KEYFRAME_S,
        refused: EarlyRefusal = never_refused,
        timed: bool = True,
        events: EventRules | None = None,
    ) -> "Rules":
        """Return the rules for a bundle's rate in hertz and the operator's limits in seconds."""
        return cls(
            period_us=None if rate_hz is None else int(1e6 / rate_hz),
            gap_reset_us=None if gap_reset_s is None else round(gap_reset_s * 1e6),
            ttl_ms=round(stream_ttl_s * 1e3),
            most_streams=max_streams,
            keyframe_ms=round(keyframe_s * 1e3),
            refused=refused,
            timed=timed,
            events=events,
        )

    @property
    def long_step_us(self) -> float:
        """A prediction reports a gap if the frame before is further back than this."""
        if not self.timed:
            return math.inf if self.gap_reset_us is None else self.gap_reset_us
        return 1.5 * (330_000 if self.period_us is None else self.period_us)

    def is_gap(self, silence_us: int) -> bool:
        """Return whether memory ends with a silence."""
        return self.gap_reset_us is not None and silence_us > self.gap_reset_us


@dataclass(frozen=True, slots=True)
class Verdict:
    """Admission's decision on a record, and the admission memory for the stream's next record.

    `fate` is None for a frame that is let through. `reset` is then the reason why memory is reset
    before it, as far as admission can decide that; None if it is not reset.
    """

    admission: Admission
    fate: Fate | None = None
    reset: Reset | None = None
    note: str | None = None


def admit(last: Admission | None, frame: Frame, rules: Rules) -> Verdict:
    """Judge a frame by the stream's memory after the previous record (None: a new stream)."""
    if last is None or last.seen_us is None:
        return _let_through(last, frame, rules, reset=Reset.NEW if last is None else Reset.ENDED)
    recent = abs(frame.captured_us - last.seen_us) <= RECENT_US
    if frame.epoch is not None and frame.epoch != last.epoch:
        if recent and last.epoch is not None and frame.epoch < last.epoch:
            return _refused(last, frame, Fate.LATE)
        return _let_through(last, frame, rules, reset=Reset.EPOCH)
    if frame.seq is not None and last.seq is not None and frame.seq <= last.seq:
        if _repeats(last.seen_us, last.seq, frame.seq, frame, recent=recent):
            return _refused(last, frame, Fate.DUPLICATE)
        if frame.seq < last.seq and last.epoch is None:
            return _let_through(last, frame, rules, reset=Reset.EPOCH)
    if _too_soon(last, frame, rules):
        return Verdict(_seen(last, frame), fate=Fate.SAMPLED)
    return _let_through(last, frame, rules, reset=None)


def end(record: EndOfStream) -> Verdict:
    """Judge an end of stream: the memory keeps only the fact that the stream has ended."""
    return Verdict(Admission(record_ms=record.record_ms), fate=Fate.ENDED)


def expired(last: Admission, stream_time_ms: int, rules: Rules) -> bool:
    """Return whether a stream was silent for longer than its time to live, by log timestamps."""
    return stream_time_ms - last.record_ms > rules.ttl_ms


def _repeats(seen_us: int, last_seq: int, seq: int, frame: Frame, *, recent: bool) -> bool:
    if frame.captured_given:
        return frame.captured_us <= seen_us and recent
    return (frame.captured_us <= seen_us and recent) or last_seq - seq < REORDER_WINDOW


def _too_soon(last: Admission, frame: Frame, rules: Rules) -> bool:
    if rules.period_us is None:
        return False
    return last.planned_us < frame.captured_us < last.due_us - rules.period_us // 2


def _refused(last: Admission, frame: Frame, fate: Fate) -> Verdict:
    return Verdict(replace(last, record_ms=frame.record_ms), fate=fate)


def _seen(before: Admission, frame: Frame) -> Admission:
    """Return the memory after a frame that is sampled out."""
    return Admission(
        record_ms=frame.record_ms,
        seen_us=frame.captured_us,
        planned_us=before.planned_us,
        due_us=before.due_us,
        seq=before.seq if frame.seq is None else frame.seq,
        epoch=before.epoch if frame.epoch is None else frame.epoch,
    )


def _let_through(
    last: Admission | None, frame: Frame, rules: Rules, *, reset: Reset | None
) -> Verdict:
    t, period = frame.captured_us, rules.period_us or 0
    before = last or Admission(record_ms=frame.record_ms)
    fresh = (
        last is None
        or last.seen_us is None
        or reset is not None
        or t <= last.planned_us
        or rules.is_gap(t - last.planned_us)
    )
    due_us = t + period if fresh or last is None else max(last.due_us + period, t + period // 2)
    # After a reset the camera counts anew: the old sequence number does not apply.
    counts_on = reset is None and frame.seq is None
    admission = Admission(
        record_ms=frame.record_ms,
        seen_us=t,
        planned_us=t,
        due_us=due_us,
        seq=before.seq if counts_on else frame.seq,
        epoch=before.epoch if frame.epoch is None else frame.epoch,
    )
    note = None if last is None else _note(last, frame, rules, reset)
    return Verdict(admission, reset=reset, note=note)


def _note(last: Admission, frame: Frame, rules: Rules, reset: Reset | None) -> str | None:
    """Return what a reader should know of the step from the last record to this one.

    Of records without time, those of one batch may have one timestamp in the log.
    """
    if not rules.timed and reset is None and _is_hole(last.seq, frame.seq):
        return HOLE_NOTE
    dated = rules.timed or frame.captured_given
    backwards = dated and last.seen_us is not None and frame.captured_us <= last.seen_us
    return CLOCK_NOTE if backwards else None


def _is_hole(last_seq: int | None, seq: int | None) -> bool:
    return last_seq is not None and seq is not None and seq > last_seq + 1
