"""Writes and reads snapshots, the durable copies of streams' memory. Only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import JsonValue
from safetensors import SafetensorError

from pipeline.records import (
    NAME,
    NAME_WANTED,
    Admission,
    Destination,
    Keyframe,
    Outgoing,
    Record,
    Reset,
)
from pipeline.wire.changelog import MOST_NAME, SCHEMA, SNAPSHOT_PREFIX, corrupt, snapshot_key
from pipeline.wire.events.event_memory import EventMemory
from pipeline.wire.frames import LAST_US, MOST_COUNTER, STREAM, STREAM_WANTED
from pipeline.wire.json_text import Fields, UnreadableError, read_object, write_object
from pipeline.wire.predictions import CHAIN, CHAIN_WANTED


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The durable copy of one stream's memory.

    `tensors` is empty if memory is reset before the next frame (`pending_reset`). `keyframe` is
    None if the stream has no whole chain of H.264 units after `offset`, which is -1 if the memory
    came from another partition and no record of this one has changed it. `events` is None if the
    group has never published events. `unknown` holds fields of a newer release.
    """

    stream: str
    bundle: str
    offset: int
    admission: Admission
    stepped_us: int | None
    age_us: int
    frames: int
    chain: str
    pending_reset: Reset | None
    tensors: Mapping[str, NDArray[np.generic]]
    keyframe: Keyframe | None = None
    events: EventMemory | None = None
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    def write(self, partition: int) -> Outgoing:
        """Return the snapshot as a changelog record: tensors in the value, the rest in `meta`."""
        known = self.admission
        meta = {
            "schema": SCHEMA,
            "bundle": self.bundle,
            "offset": self.offset,
            "seq": known.seq,
            "epoch": known.epoch,
            "epoch_from_header": known.epoch is not None,  # for other readers
            "seen_us": known.seen_us,
            "planned_us": known.planned_us,
            "due_us": known.due_us,
            "stepped_us": self.stepped_us,
            "age_us": self.age_us,
            "frames": self.frames,
            "chain": self.chain,
            "pending_reset": self.pending_reset,
            "record_ms": known.record_ms,
            **self._keyframe_fields(),
            **({} if self.events is None else {"events": self.events.content(self.offset)}),
            **self.unknown,
        }
        # safetensors ignores strides: of a view it would save neighbouring bytes
        tensors = {name: np.array(t, order="C") for name, t in self.tensors.items()}
        value = safetensors.numpy.save(tensors)
        header = ("meta", write_object(meta))
        return Outgoing(Destination.STATE, partition, snapshot_key(self.stream), value, (header,))

    def _keyframe_fields(self) -> dict[str, JsonValue]:
        """Return the keyframe, and the offset that it is valid for.

        An older release writes all of it back with another `offset`, and does not decode units.
        """
        if self.keyframe is None:
            return {"keyframe": None}
        return {
            "keyframe": self.keyframe.offset,
            "keyframe_ms": self.keyframe.time_ms,
            "keyframe_whole": self.offset,
        }

    @classmethod
    def read(cls, record: Record) -> "Snapshot":
        """Read a snapshot. Raises `CorruptStateError` if the record is not a snapshot."""
        try:
            stream = (record.key or b"").removeprefix(SNAPSHOT_PREFIX).decode("ascii", "replace")
            if STREAM.fullmatch(stream) is None:
                raise UnreadableError(f"the key names no stream; wanted {STREAM_WANTED}")
            meta = dict(record.headers).get("meta")
            if meta is None:
                raise UnreadableError("it has no header `meta`")
            return cls._read(stream, Fields(read_object(meta), "meta."), record.value or b"")
        except UnreadableError as exc:
            raise corrupt(record, exc) from exc

    @classmethod
    def _read(cls, stream: str, meta: Fields, value: bytes) -> "Snapshot":
        meta.schema(SCHEMA)
        pending = meta.matching_or_none("pending_reset", NAME, NAME_WANTED)
        admission = Admission(
            record_ms=meta.integer("record_ms", 0, LAST_US // 1000),
            seen_us=meta.integer_or_none("seen_us", 0, LAST_US),
            planned_us=meta.integer("planned_us", 0, LAST_US),
            due_us=meta.integer("due_us"),  # a period of the bundle after the last frame
            seq=meta.integer_or_none("seq", 0, MOST_COUNTER),
            epoch=meta.integer_or_none("epoch", 0, MOST_COUNTER),
        )
        unknown = meta.rest
        unknown.pop("epoch_from_header", None)
        offset = meta.integer("offset", -1)
        return cls(
            stream=stream,
            bundle=meta.text("bundle", MOST_NAME),
            offset=offset,
            admission=admission,
            stepped_us=meta.integer_or_none("stepped_us", 0, LAST_US),
            age_us=meta.integer("age_us"),
            frames=meta.integer("frames"),
            chain=meta.matching("chain", CHAIN, CHAIN_WANTED),
            pending_reset=None if pending is None else Reset(pending),
            tensors=_tensors(value),
            keyframe=_keyframe(meta, offset),
            events=_events(meta, offset),
            unknown=unknown,
        )


def _keyframe(meta: Fields, offset: int) -> Keyframe | None:
    """Take the keyframe; None if an older release has handled records after it."""
    at = meta.integer_or_none("keyframe", 0, offset) if meta.has("keyframe") else None
    if at is None:
        for name in ("keyframe_ms", "keyframe_whole"):
            meta.rest.pop(name, None)
        return None
    found = Keyframe(at, meta.integer("keyframe_ms", 0, LAST_US // 1000))
    return found if meta.integer("keyframe_whole", at, offset) == offset else None


def _events(meta: Fields, offset: int) -> EventMemory | None:
    return EventMemory.read(meta.inner("events"), offset) if meta.has("events") else None


def _tensors(value: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        return dict(safetensors.numpy.load(value))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as exc:
        raise UnreadableError(f"its value holds no tensors ({exc})") from exc
