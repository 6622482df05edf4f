"""The values that travel through the pipeline. Frozen, and free of any vendor's types."""

from dataclasses import dataclass
from enum import StrEnum

Headers = tuple[tuple[str, bytes], ...]

TRACEPARENT = "traceparent"
MAX_HEADERS = 100  # of one record


class Fate(StrEnum):
    """How an input record ended. Every record has exactly one."""

    PREDICTED = "predicted"
    DEAD_LETTERED = "dead_lettered"
    DUPLICATE = "duplicate"
    LATE = "late"
    SAMPLED = "sampled"
    SKIPPED = "skipped"
    ENDED = "ended"


class Reset(StrEnum):
    """Why a stream's memory started afresh before a frame."""

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
    """One record of the log, as the broker holds it. Timestamps in milliseconds since 1970."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes of all that a producer has put into it."""
        parts = (self.key or b"", self.value or b"", *(content for _, content in self.headers))
        return sum(len(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded picture of one stream."""

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


Input = Frame | EndOfStream | BadRecord


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
