"""Writes and reads the changelog: snapshots, skips, lives, manifests. Only here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.records import (
    Admission,
    Destination,
    Fate,
    Outgoing,
    Record,
    Reset,
)

SCHEMA = 1
MANIFEST_KEY = b"m"
SNAPSHOT_PREFIX = b"s:"
SKIPS_PREFIX = b"k:"
LIFE_PREFIX = b"l:"


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
