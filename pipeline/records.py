"""The values that travel through the pipeline. Frozen, and free of any vendor's types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

Headers = tuple[tuple[str, bytes], ...]

TRACEPARENT = "traceparent"
MAX_HEADERS = 100  # of one record


NAME = re.compile(r"[a-z][a-z_]{0,31}", re.ASCII)  # of a fate, a reset, a note
NAME_WANTED = "a name of up to 32 characters of a-z and _"


class OpenNames(StrEnum):
    """Names to which a newer release may add: one that is not listed is kept under its name.

    A name that is no member equals, and hashes like, its text. Readers check its form by `NAME`.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        added = str.__new__(cls, value)
        added._name_ = value.upper()
        added._value_ = value
        return added


class Fate(OpenNames):
    """How an input record ended. Every record has exactly one.

    One that a newer release has added is a count in the ledger and nothing else.
    """

    PREDICTED = "predicted"
    DEAD_LETTERED = "dead_lettered"
    DUPLICATE = "duplicate"
    LATE = "late"
    SAMPLED = "sampled"
    SKIPPED = "skipped"
    ENDED = "ended"


class Reset(OpenNames):
    """Why a stream's memory started afresh before a frame.

    A newer release may add reasons, but none that forgets the stream: chains depend on that.
    """

    NEW = "new"
    EPOCH = "epoch"
    GAP = "gap"
    ENDED = "ended"
    NONFINITE = "nonfinite"
    BUNDLE = "bundle"

    @property
    def forgets_stream(self) -> bool:
        """Whether the stream itself is new: its chain starts again at zeros."""
        return self in (Reset.NEW, Reset.ENDED)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log, as the broker holds it. Timestamps in milliseconds since 1970.

    `refused` says why a record could not be taken out of its batch; it has no key and no value.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    refused: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all that a producer has put into it."""
        parts = (self.key or b"", self.value or b"", *(content for _, content in self.headers))
        return sum(len(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Frame:
    """One record that the model steps by: an encoded picture of one stream, say."""

    stream: str
    partition: int
    offset: int
    record_ms: int
    captured_us: int
    captured_given: bool  # False: the record's own timestamp stands in for the capture time
    content: bytes
    seq: int | None = None
    epoch: int | None = None
    traceparent: bytes | None = None


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """A null value: the camera says that it is done."""

    stream: str
    partition: int
    offset: int
    record_ms: int


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that breaks the wire contract. A value, not an exception: its offset counts too."""

    record: Record
    reason: str
    error: str

    @property
    def partition(self) -> int:
        """The partition it came from."""
        return self.record.partition

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        return self.record.offset

    @property
    def record_ms(self) -> int:
        """The record's timestamp."""
        return self.record.timestamp_ms


ParsedRecord = Frame | EndOfStream | BadRecord


class Destination(StrEnum):
    """Where an outgoing record belongs; the broker knows the topics' names."""

    PREDICTIONS = "predictions"
    DEAD_LETTERS = "dead_letters"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to be written by a checkpoint. `partition` is None where the key decides."""

    destination: Destination
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """What a stream's next record is judged by. `seen_us` is None before the first frame."""

    record_ms: int  # timestamp of the newest record of the stream, whatever its fate
    seen_us: int | None = None  # capture time of the last admitted frame, never the maximum
    planned_us: int = 0  # of the last frame let through for stepping
    due_us: int = 0  # when the next one is wanted
    seq: int | None = None
    epoch: int | None = None  # None until a record carries an epoch header


@dataclass(frozen=True, slots=True)
class Changelog:
    """The newest record of every key of one partition's changelog; tombstoned keys are absent."""

    records: Mapping[bytes, Record]
    log_start: int  # of the *frames* partition: the first offset that still can be read
    log_end: int  # of the *frames* partition


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics of one group."""

    frames: str
    predictions: str
    dead_letters: str
    state: str

    def of(self, destination: Destination) -> str:
        """Name the topic where records of a kind belong."""
        return {
            Destination.PREDICTIONS: self.predictions,
            Destination.DEAD_LETTERS: self.dead_letters,
            Destination.STATE: self.state,
        }[destination]
