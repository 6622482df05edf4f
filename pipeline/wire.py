"""What is on the wire: frames in; predictions, dead letters, snapshots and manifests out.

The only place for topic formats. Nothing in a prediction's value depends on when or where it was
computed, so a replay writes the same bytes.
"""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.admission import Admission
from pipeline.errors import MalformedRecordError
from pipeline.records import (
    MAX_HEADERS,
    TRACEPARENT,
    BadRecord,
    Destination,
    EndOfStream,
    Fate,
    Frame,
    Input,
    Outgoing,
    Record,
    Reset,
)

SCHEMA = 1
NEW_CHAIN = "00000000"
MANIFEST_KEY = b"m"
SNAPSHOT_PREFIX = b"s:"
SKIPS_PREFIX = b"k:"
LIFE_PREFIX = b"l:"

TRACEPARENT_BYTES = 256  # W3C's first version has 55, later ones may have more

_STREAM = re.compile(r"[A-Za-z0-9._:-]{1,200}", re.ASCII)
_COUNTER = re.compile(r"[0-9]{1,18}", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_LAST_US = 253_402_300_799_999_999  # the end of the year 9999, the last that ISO 8601 can write
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# ---------------------------------------------------------------------------------------- frames


def read_frame(record: Record, *, max_bytes: int) -> Input:
    """Read a record of the frames topic. One that breaks the contract comes back as `BadRecord`."""
    try:
        stream = _stream(record.key)
        if len(record.headers) > MAX_HEADERS:
            raise MalformedRecordError(f"the record has more than {MAX_HEADERS} headers")
        headers = dict(record.headers)
        captured = _milliseconds("captured-at", headers.get("captured-at"))
        seq, epoch = _counter("seq", headers.get("seq")), _counter("epoch", headers.get("epoch"))
        if not 0 <= record.timestamp_ms <= _LAST_US // 1000:
            raise MalformedRecordError(f"the timestamp {record.timestamp_ms} ms is out of range")
        if record.value is None:
            return EndOfStream(stream, record.partition, record.offset, record.timestamp_ms)
        if len(record.value) > max_bytes:
            raise MalformedRecordError(
                f"the value has {len(record.value)} bytes, at most {max_bytes} are accepted"
            )
        return Frame(
            stream=stream,
            partition=record.partition,
            offset=record.offset,
            record_ms=record.timestamp_ms,
            captured_us=record.timestamp_ms * 1000 if captured is None else captured,
            captured_given=captured is not None,
            content=record.value,
            seq=seq,
            epoch=epoch,
            traceparent=_traceparent(headers.get(TRACEPARENT)),
        )
    except MalformedRecordError as exc:
        return BadRecord(record, exc.reason, str(exc))


def is_stream_id(text: str) -> bool:
    """Tell whether a text may name a stream."""
    return _STREAM.fullmatch(text) is not None


def _stream(key: bytes | None) -> str:
    text = None if key is None else key.decode("ascii", "replace")
    if text is None or not is_stream_id(text):
        shown = "none" if key is None else repr(key[:80])
        raise MalformedRecordError(
            f"the key is {shown}; wanted a stream id of 1 to 200 characters of A-Z a-z 0-9 . _ : -"
        )
    return text


def _counter(name: str, raw: bytes | None) -> int | None:
    if raw is None:
        return None
    text = raw.decode("ascii", "replace")
    if not _COUNTER.fullmatch(text):
        raise MalformedRecordError(f"header {name} is {text[:40]!r}; wanted a decimal number")
    return int(text)


def _milliseconds(name: str, raw: bytes | None) -> int | None:
    """Decimal milliseconds since 1970, a fraction allowed, as whole microseconds."""
    if raw is None:
        return None
    text = raw.decode("ascii", "replace")
    if not _MILLISECONDS.fullmatch(text) or (us := int(Decimal(text) * 1000)) > _LAST_US:
        raise MalformedRecordError(
            f"header {name} is {text[:40]!r}; wanted decimal milliseconds since 1970"
        )
    return us


def _traceparent(raw: bytes | None) -> bytes | None:
    """What can be one is passed through unread; it must not make a prediction too large to send."""
    return raw if raw is not None and len(raw) <= TRACEPARENT_BYTES else None


# ----------------------------------------------------------------------------------- predictions


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What the model remembered of the stream *before* a frame. Times in microseconds."""

    frames: int
    age_us: int
    gap_us: int | None
    reset: Reset | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of one frame: as its readers get it, and the best label by itself.

    `label` is its place in the bundle's list, `confidence` its score before it is rounded.
    """

    value: bytes
    chain: str
    label: int
    confidence: float


class PredictionWriter:
    """Writes the predictions of one bundle, chained per stream.

    `labels` in bundle order; `activation` is `softmax` or `sigmoid`; `model` names the bundle.
    """

    def __init__(self, *, labels: Sequence[str], activation: str, model: str) -> None:
        self._labels = [_text(label) for label in labels]
        self._softmax = activation == "softmax"
        self._model = _text(model)

    def write(
        self, frame: Frame, logits: NDArray[np.float32], memory: MemoryFacts, prev: str
    ) -> Answer:
        """Write one prediction from logits (K,)."""
        scores = self._scores(logits)
        best = int(np.argmax(scores))
        pairs = ",".join(
            f"{label}:{score:.4f}" for label, score in zip(self._labels, scores, strict=True)
        )
        body = (
            f'{{"schema":{SCHEMA},"stream":"{frame.stream}","seq":{_number(frame.seq)}'
            f',"captured_at":"{timestamp(frame.captured_us)}","label":{self._labels[best]}'
            f',"confidence":{scores[best]:.4f},"scores":{{{pairs}}}'
            f',"memory":{{"frames":{memory.frames},"age_s":{memory.age_us / 1e6:.3f}'
            f',"gap_s":{_seconds(memory.gap_us)},"reset":{_optional(memory.reset)}'
            f',"note":{_optional(memory.note)}}},"model":{self._model}'
            f',"source":{{"partition":{frame.partition},"offset":{frame.offset}}}'
        ).encode()
        chain = link(prev, body)
        value = body + f',"prev":"{prev}","chain":"{chain}"}}'.encode()
        return Answer(value, chain, best, scores[best])

    def _scores(self, logits: NDArray[np.float32]) -> list[float]:
        """Softmax or sigmoid in float64, one line at a time: no row meets another's rounding."""
        x = logits.astype(np.float64)
        if self._softmax:
            powers = np.exp(x - x.max())
            return list((powers / powers.sum()).tolist())
        return list((0.5 * (1.0 + np.tanh(0.5 * x))).tolist())


def link(prev: str, body: bytes) -> str:
    """Chain a prediction to the one before: CRC-32 over `prev` and the value up to `,"prev":`."""
    return f"{zlib.crc32(body, zlib.crc32(prev.encode())):08x}"


def timestamp(us: int) -> str:
    """Write microseconds since 1970 as ISO 8601 with milliseconds, UTC."""
    moment = _EPOCH + timedelta(milliseconds=us // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{us // 1000 % 1000:03d}Z"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _seconds(us: int | None) -> str:
    return "null" if us is None else f"{us / 1e6:.3f}"


def _optional(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


# ---------------------------------------------------------------------------------- dead letters

DEAD_LETTER_BYTES = 512 * 1024
DEAD_LETTER_KEY_BYTES = 1024


def dead_letter(record: Frame | BadRecord, *, topic: str, reason: str, error: str) -> Outgoing:
    """Write a record's raw bytes, cut to a limit, with the reason it could not be used.

    The key is cut too: what is put aside must always fit where it is put.
    """
    if isinstance(record, Frame):
        key, value = record.stream.encode(), record.content
    else:
        key, value = record.record.key or b"", record.record.value or b""
    headers = (
        ("error", error.encode()[:2000].decode(errors="ignore").encode()),
        ("reason", reason.encode()),
        ("source-topic", topic.encode()),
        ("source-partition", str(record.partition).encode()),
        ("source-offset", str(record.offset).encode()),
        ("size", str(len(value)).encode()),
    )
    key, value = key[:DEAD_LETTER_KEY_BYTES], value[:DEAD_LETTER_BYTES]
    return Outgoing(Destination.DEAD_LETTERS, None, key, value, headers)


# ------------------------------------------------------------------------------------- changelog


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The durable copy of one stream's memory.

    `tensors` is empty where the next frame starts afresh anyway (`pending_reset`).
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

    def write(self, partition: int) -> Outgoing:
        """Write the snapshot for the changelog: tensors in the value, the rest in `meta`."""
        known = self.admission
        meta = {
            "schema": SCHEMA,
            "bundle": self.bundle,
            "offset": self.offset,
            "seq": known.seq,
            "epoch": known.epoch,
            "epoch_from_header": known.epoch is not None,
            "seen_us": known.seen_us,
            "planned_us": known.planned_us,
            "due_us": known.due_us,
            "stepped_us": self.stepped_us,
            "age_us": self.age_us,
            "frames": self.frames,
            "chain": self.chain,
            "pending_reset": self.pending_reset,
            "record_ms": known.record_ms,
            "keyframe": None,
        }
        # a view would be saved with the bytes that lie beside it: the library ignores strides
        tensors = {name: np.array(t, order="C") for name, t in self.tensors.items()}
        value = safetensors.numpy.save(tensors)
        header = ("meta", _dumps(meta))
        return Outgoing(Destination.STATE, partition, snapshot_key(self.stream), value, (header,))

    @classmethod
    def read(cls, record: Record) -> "Snapshot":
        """Read a snapshot from the changelog. Raises ValueError when it is not one."""
        try:
            meta: dict[str, Any] = json.loads(dict(record.headers)["meta"])
            _check_schema(meta)
            pending = meta["pending_reset"]
            return cls(
                stream=(record.key or b"").removeprefix(SNAPSHOT_PREFIX).decode(),
                bundle=meta["bundle"],
                offset=meta["offset"],
                admission=Admission(
                    record_ms=meta["record_ms"],
                    seen_us=meta["seen_us"],
                    planned_us=meta["planned_us"],
                    due_us=meta["due_us"],
                    seq=meta["seq"],
                    epoch=meta["epoch"],
                ),
                stepped_us=meta["stepped_us"],
                age_us=meta["age_us"],
                frames=meta["frames"],
                chain=meta["chain"],
                pending_reset=None if pending is None else Reset(pending),
                tensors=safetensors.numpy.load(record.value or b""),
            )
        except (KeyError, TypeError, SafetensorError) as exc:
            raise ValueError(f"{record.key!r} at offset {record.offset} is no snapshot") from exc


def snapshot_key(stream: str) -> bytes:
    """Name a stream's snapshot in the changelog."""
    return SNAPSHOT_PREFIX + stream.encode()


def tombstone(partition: int, key: bytes) -> Outgoing:
    """Write that a record of the changelog is forgotten for good."""
    return Outgoing(Destination.STATE, partition, key, None)


@dataclass(frozen=True, slots=True)
class Skips:
    """Frames of one stream that were left out for newer ones: overload `latest`.

    Each range (first, last) of offsets, both included, takes in all that admission let through
    there; ranges are in order. Which frames were waiting was a fact of the moment, so a replay has
    to be told. A record is written again as ranges are added to it, and keeps its name, the first
    offset of all.
    """

    stream: str
    ranges: tuple[tuple[int, int], ...]

    @property
    def key(self) -> bytes:
        """Name the record in the changelog."""
        return SKIPS_PREFIX + f"{self.stream}:{self.ranges[0][0]}".encode()

    def write(self, partition: int) -> Outgoing:
        """Write the ranges for the changelog."""
        value = _dumps({"schema": SCHEMA, "ranges": self.ranges})
        return Outgoing(Destination.STATE, partition, self.key, value)

    @classmethod
    def read(cls, record: Record) -> "Skips":
        """Read the ranges from the changelog. Raises ValueError when they are none."""
        try:
            content: dict[str, Any] = json.loads(record.value or b"")
            _check_schema(content)
            stream, _ = (record.key or b"").removeprefix(SKIPS_PREFIX).decode().rsplit(":", 1)
            ranges = tuple((int(first), int(last)) for first, last in content["ranges"])
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"the record at offset {record.offset} tells no skips") from exc
        return cls(stream, ranges)


@dataclass(frozen=True, slots=True)
class Life:
    """Where a life of a partition began: `longtake reset` moved it, and the ledger began anew.

    Lives count from 1; the first has no record. `predictions_end` and `dead_letters_end` (by
    partition of the dead-letter topic) are the ends of those logs when the life began.
    """

    number: int
    first_offset: int
    predictions_end: int
    dead_letters_end: Mapping[int, int]

    def write(self, partition: int) -> Outgoing:
        """Write the beginning for the changelog."""
        key = LIFE_PREFIX + str(self.number).encode()
        content = asdict(self) | {"schema": SCHEMA}
        return Outgoing(Destination.STATE, partition, key, _dumps(content))

    @classmethod
    def read(cls, record: Record) -> "Life":
        """Read a beginning from the changelog. Raises ValueError when it is none."""
        try:
            content: dict[str, Any] = json.loads(record.value or b"")
            _check_schema(content)
            ends = {int(number): end for number, end in content["dead_letters_end"].items()}
            return cls(content["number"], content["first_offset"], content["predictions_end"], ends)
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"the record at offset {record.offset} begins no life") from exc


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a partition stands: the authority on where to resume, and its ledger of fates.

    next_offset - first_offset = sum(fates) + absent + expired. `checkpoint` counts from 0.
    """

    first_offset: int
    next_offset: int
    checkpoint: int
    worker: str
    generation: int
    bundle: str
    partitions: int
    stream_time_ms: int
    fates: Mapping[Fate, int] = field(default_factory=dict)
    absent: int = 0
    expired: int = 0
    attempts: int = 0
    life: int = 1
    schema: int = SCHEMA

    @property
    def checkpoint_id(self) -> tuple[int, str, int]:
        """Name the checkpoint that wrote it: number, worker and generation."""
        return self.checkpoint, self.worker, self.generation

    def write(self, partition: int) -> Outgoing:
        """Write the manifest for the changelog."""
        content = asdict(self) | {"fates": {fate: self.fates.get(fate, 0) for fate in Fate}}
        return Outgoing(Destination.STATE, partition, MANIFEST_KEY, _dumps(content))

    @classmethod
    def read(cls, record: Record) -> "Manifest":
        """Read a manifest from the changelog. Raises ValueError when it is not one."""
        try:
            content: dict[str, Any] = json.loads(record.value or b"")
            _check_schema(content)
            known = {f.name: content[f.name] for f in fields(cls)}
            known["fates"] = {Fate(fate): count for fate, count in content["fates"].items()}
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"the record at offset {record.offset} is no manifest") from exc
        return cls(**known)


def _dumps(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _check_schema(content: Mapping[str, Any]) -> None:
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']}, this version reads {SCHEMA}")
