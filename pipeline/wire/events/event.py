"""Writes and reads events. The only place for the format of the events topic.

An event's value does not depend on when or where it was computed, so a replay writes the same
bytes.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from pipeline.records import Reset
from pipeline.wire.events.event_memory import WHOLE, EventMemory, OpenEvent
from pipeline.wire.frames import STREAM, STREAM_WANTED
from pipeline.wire.json_text import Fields, UnreadableError, read_object
from pipeline.wire.predictions import (
    CHAIN,
    CHAIN_WANTED,
    FROM_FILE,
    MOST_LABEL,
    MOST_MODEL,
    TIME,
    TIME_WANTED,
    sealed,
    timestamp,
)

EVENT_SCHEMA = 1
MOST_ID = 256  # characters
START, END = "start", "end"


class Why(StrEnum):
    """Why a label started or ended."""

    HELD = "held"  # the only reason of a start: it was strong for long enough
    WEAK = "weak"  # it was below its limit for long enough
    REPLACED = "replaced"  # another label has started
    RESET = "reset"  # the stream's memory was reset, or frames have passed unseen
    ENDED = "ended"  # the camera has ended the stream
    EVICTED = "evicted"  # the stream was silent for longer than its time to live

    @classmethod
    def of(cls, reset: Reset | None) -> "Why":
        """Return why a label ends at a reset; None: frames have passed unseen."""
        if reset is Reset.NEW:  # an existing stream is new only when its time to live is over
            return cls.EVICTED
        return cls.ENDED if reset is Reset.ENDED else cls.RESET


def write_start(stream: str, event: OpenEvent, prev: str) -> tuple[bytes, str]:
    """Return the value that says that a label has started, and its chain."""
    return _write(stream, event, START, Why.HELD, prev)


def end_event(stream: str, memory: EventMemory, why: Why) -> tuple[EventMemory, tuple[bytes, ...]]:
    """Return the memory without an open event, and the value that ends it, if there is one."""
    if memory.open is None:
        return memory, ()
    value, chain = _write(stream, memory.open, END, why, memory.chain)
    ended = EventMemory(None, memory.candidate, chain, memory.stale, memory.unknown)
    return ended, (value,)


def _write(stream: str, event: OpenEvent, kind: str, why: Why, prev: str) -> tuple[bytes, str]:
    first, last, seen = event.first, event.last, event.seen
    over = kind == END
    ended_at = f'"{timestamp(last.us)}"' if over else "null"
    last_at = f'{{"partition":{last.partition},"offset":{last.offset}}}' if over else "null"
    mean = seen.total / (seen.frames * WHOLE)
    body = (
        f'{{"schema":{EVENT_SCHEMA},"event":"{kind}"'
        f',"id":"{stream}/{first.partition}/{first.offset}","stream":"{stream}"'
        f',"label":{json.dumps(event.label, ensure_ascii=False)}'
        f',"started_at":"{timestamp(first.us)}","ended_at":{ended_at}'
        f',"first":{{"partition":{first.partition},"offset":{first.offset}}},"last":{last_at}'
        f',"frames":{seen.frames},"duration_s":{seen.span_us / 1e6:.3f}'
        f',"peak":{seen.peak / WHOLE:.4f},"mean":{mean:.4f}'
        f',"model":{json.dumps(event.model, ensure_ascii=False)},"why":"{why}"'
    ).encode()
    return sealed(body, prev)


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it was published. Seconds and scores are rounded, as written.

    Fields that this release does not know are only in `value`.
    """

    value: bytes
    starts: bool
    id: str
    stream: str
    label: str
    started_at: str
    ended_at: str | None
    partition: int  # of the first frame, as `offset`; `FROM_FILE` if it came from no log
    offset: int
    frames: int
    duration_s: float
    peak: float
    mean: float
    model: str
    why: str
    prev: str
    chain: str

    @classmethod
    def read(cls, value: bytes | None) -> "Event":
        """Read the value of a record. Raises `UnreadableError` if it is not an event."""
        fields = Fields(read_object(value))
        fields.schema(EVENT_SCHEMA)
        kind = fields.text("event", len(START))
        if kind not in (START, END):
            raise UnreadableError(f"event is neither {START} nor {END}")
        first = fields.inner("first")
        ended_at = None if kind == START else fields.matching("ended_at", TIME, TIME_WANTED)
        return cls(
            value=value or b"",
            starts=kind == START,
            id=fields.text("id", MOST_ID),
            stream=fields.matching("stream", STREAM, STREAM_WANTED),
            label=fields.text("label", MOST_LABEL),
            started_at=fields.matching("started_at", TIME, TIME_WANTED),
            ended_at=ended_at,
            partition=first.integer("partition", FROM_FILE, 2**31 - 1),
            offset=first.integer("offset"),
            frames=fields.integer("frames", 1),
            duration_s=fields.number("duration_s"),
            peak=fields.number("peak", 0, 1),
            mean=fields.number("mean", 0, 1),
            model=fields.text("model", MOST_MODEL),
            why=fields.text("why", MOST_ID),
            prev=fields.matching("prev", CHAIN, CHAIN_WANTED),
            chain=fields.matching("chain", CHAIN, CHAIN_WANTED),
        )

    @property
    def intact(self) -> bool:
        """Whether `chain` is the checksum of `prev` and the bytes before it."""
        return sealed(self.value.rpartition(b',"prev":')[0], self.prev) == (self.value, self.chain)
