"""The values that the pipeline's parts exchange. They are frozen and use no vendor's types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

Headers = tuple[tuple[str, bytes], ...]

TRACEPARENT = "traceparent"
MAX_HEADERS = 100  # of one record


NAME = re.compile(r"[a-z][a-z_]{0,31}", re.ASCII)  # of a fate, a reset, a note
NAME_WANTED = "a name of up to 32 characters of a-z and _"


class OpenNames(StrEnum):
    """An enum to which a newer release may add names. A name that is not a member is kept.

    Such a name equals its text and has the same hash. Readers check its form with `NAME`.
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

    This release only keeps the count in the ledger of a fate that a newer release added.
    `ADDED_FATES` are those that the first release does not know.
    """

    PREDICTED = "predicted"
    DEAD_LETTERED = "dead_lettered"
    DUPLICATE = "duplicate"
    LATE = "late"
    SAMPLED = "sampled"
    SKIPPED = "skipped"
    ENDED = "ended"
    UNKEYED = "unkeyed"


ADDED_FATES = (Fate.UNKEYED,)


class Reset(OpenNames):
    """Why a stream's memory was reset before a frame.

    A newer release may add reasons, but none that forgets the stream: chains depend on these.
    """

    NEW = "new"
    EPOCH = "epoch"
    GAP = "gap"
    ENDED = "ended"
    NONFINITE = "nonfinite"
    BUNDLE = "bundle"

    @property
    def forgets_stream(self) -> bool:
        """Whether the reset starts a new stream, whose chain starts at zeros again."""
        return self in (Reset.NEW, Reset.ENDED)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log, as the broker holds it. Timestamps in milliseconds since 1970.

    `refused` says why the record could not be read from its batch; such a record has no content.
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
        """Bytes of key, value and header values."""
        parts = (self.key or b"", self.value or b"", *(content for _, content in self.headers))
        return sum(len(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Frame:
    """One record that the model steps on: for example an encoded picture of one stream.

    `unit`: the content is one access unit of H.264. `keyframe`: a decoder can begin with it.
    """

    stream: str
    partition: int
    offset: int
    record_ms: int
    captured_us: int
    captured_given: bool  # False: `captured_us` is the record's own timestamp
    content: bytes
    seq: int | None = None
    epoch: int | None = None
    traceparent: bytes | None = None
    unit: bool = False
    keyframe: bool = False


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """A record with a null value: the camera has ended its stream."""

    stream: str
    partition: int
    offset: int
    record_ms: int


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that breaks the wire contract. Not an exception, because its offset counts too."""

    record: Record
    reason: str
    error: str

    @property
    def partition(self) -> int:
        """The record's partition."""
        return self.record.partition

    @property
    def offset(self) -> int:
        """The record's offset."""
        return self.record.offset

    @property
    def record_ms(self) -> int:
        """The record's timestamp."""
        return self.record.timestamp_ms


ParsedRecord = Frame | EndOfStream | BadRecord


class Destination(StrEnum):
    """The kind of topic that an outgoing record goes to; `Topics` has the names."""

    PREDICTIONS = "predictions"
    EVENTS = "events"
    DEAD_LETTERS = "dead_letters"
    STATE = "state"
    CAMERAS = "cameras"


OUTPUTS = (Destination.PREDICTIONS, Destination.DEAD_LETTERS)
"""What every group publishes for others, so that each topic of these kinds belongs to one group."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to write. `partition` is None if the key decides."""

    destination: Destination
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Keyframe:
    """The record that a stream's chain of H.264 units began with.

    `time_ms` is the partition's time at that record: the largest timestamp so far.
    """

    offset: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Admission:
    """A stream's admission memory: its next record is judged by this and the rules alone.

    `seen_us` is None before the first frame.
    """

    record_ms: int  # timestamp of the newest record of the stream, whatever its fate
    seen_us: int | None = None  # capture time of the last admitted frame, never the maximum
    planned_us: int = 0  # capture time of the last frame let through for stepping
    due_us: int = 0  # capture time planned for the next one
    seq: int | None = None
    epoch: int | None = None  # None until a record carries an epoch header


@dataclass(frozen=True, slots=True)
class Changelog:
    """The newest record of every key of one partition's changelog; tombstoned keys are absent.

    `topic_ids` are the ids of the group's topics, by role, as far as the broker names them to us.
    """

    records: Mapping[bytes, Record]
    log_start: int  # of the *frames* partition: the first offset that can still be read
    log_end: int  # of the *frames* partition
    topic_ids: Mapping[str, str] = field(default_factory=dict)


FRAMES = "frames"  # the role of the topic that is read; the roles of the others are destinations


STATE_SUFFIX = ".state"  # of the changelog's name, behind that of the group


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics of one group, and of the topic with the states of cameras.

    `cameras` is empty if no states are published, `events` if the group publishes none.
    """

    frames: str
    predictions: str
    dead_letters: str
    state: str
    cameras: str = "cameras"
    events: str = ""

    @property
    def outputs(self) -> tuple[Destination, ...]:
        """What the group publishes for others: see `OUTPUTS`."""
        return (*OUTPUTS, Destination.EVENTS) if self.events else OUTPUTS

    @property
    def by_role(self) -> dict[str, str]:
        """The topics that a group's results depend on, by their role."""
        return {
            FRAMES: self.frames,
            **{str(one): self.of(one) for one in (*self.outputs, Destination.STATE)},
        }

    def of(self, destination: Destination) -> str:
        """Return the name of the topic that records of a kind go to."""
        return {
            Destination.PREDICTIONS: self.predictions,
            Destination.EVENTS: self.events,
            Destination.DEAD_LETTERS: self.dead_letters,
            Destination.STATE: self.state,
            Destination.CAMERAS: self.cameras,
        }[destination]
