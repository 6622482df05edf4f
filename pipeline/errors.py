"""Everything `pipeline` raises on purpose, sorted by what happens next.

LongtakeError
├── RecordError                skip: this one record is dead-lettered, its stream goes on
│   ├── MalformedRecordError       key, header or size breaks the wire contract
│   ├── RefusedBatchError          the batch that it is in cannot be unpacked within limits
│   └── UndecodableFrameError      the bytes are not a picture we can decode
│       └── CrashingFrameError         they crash the process that tries
├── RetryError                 retry: the outside world is away, nothing was decided
│   ├── BrokerUnavailableError     no answer from the broker
│   ├── CommitRefusedError         the group has moved on; wait for the next generation
│   └── CameraLostError            a camera is gone, or will not let us see
└── StopError                  stop: a person has to act; each has its exit code (2, 10-26)
    ├── ConfigError                unknown key, wrong value
    ├── BrokerUnreachableError     no broker answered at start
    ├── TopicError                 a topic is missing or shaped wrongly
    ├── PartitionCountError        frames and state topics disagree about partitions
    ├── ForeignStateError          the memory in the changelog belongs to another bundle
    ├── FencedError                another worker took over our slot
    ├── RestoreStalledError        the changelog, or what is replayed, cannot be read to its end
    ├── LocalKafkaError            the local broker cannot be started
    ├── PortTakenError             somebody else listens there
    ├── SourceError                a video, camera or label file cannot be read
    ├── OutputError                the output file cannot be written (disk full, say)
    ├── DependencyError            a package that is needed is not installed
    ├── CorruptStateError          the changelog holds what we cannot read
    ├── StalledError               reading or committing stands still, and nothing helped
    ├── NothingToAuditError        no worker of the group has ever committed
    ├── CannotMoveError            the partition cannot be moved there, or not now
    ├── FootageError               the labelled videos to train on are wrong
    └── TrainingError              training cannot begin, or cannot go on
"""

from typing import ClassVar


class LongtakeError(Exception):
    """Root of the errors of this package."""


class RecordError(LongtakeError):
    """Fate: skip. The record goes to the dead-letter topic under `reason`, its offset advances."""

    reason: ClassVar[str]


class MalformedRecordError(RecordError):
    """A key, header or size that the wire contract does not allow."""

    reason = "malformed"


class RefusedBatchError(RecordError):
    """The record's batch cannot be unpacked: damaged, or far larger than any record may be."""

    reason = "refused"


class UndecodableFrameError(RecordError):
    """The bytes are not a picture that we can decode, or not a whole one."""

    reason = "undecodable"


class CrashingFrameError(UndecodableFrameError):
    """The bytes crash or hang the process that decodes them; seen in a child process."""

    reason = "crash"


class RetryError(LongtakeError):
    """Fate: retry. Nothing was decided; the same thing is tried again."""


class BrokerUnavailableError(RetryError):
    """The broker does not answer, or answered that it cannot now. A commit's outcome is unknown."""


class CommitRefusedError(RetryError):
    """The group refused the commit: our generation is over. Nothing was written."""


class CameraLostError(RetryError):
    """A camera brings no pictures any more; `lost` says why in one word, the text in several."""

    def __init__(self, lost: str, text: str) -> None:
        super().__init__(text)
        self.lost = lost


class StopError(LongtakeError):
    """Fate: stop. The process ends with `exit_code` and says what a person can do."""

    exit_code: ClassVar[int] = 1


class ConfigError(StopError):
    """A configuration key or value is wrong."""

    exit_code = 2


class BrokerUnreachableError(StopError):
    """No broker answered at start."""

    exit_code = 10


class TopicError(StopError):
    """A topic is missing or has the wrong settings."""

    exit_code = 11


class PartitionCountError(StopError):
    """Frames, predictions and state topics differ in their partition counts."""

    exit_code = 12


class ForeignStateError(StopError):
    """The changelog holds the memory of another bundle."""

    exit_code = 13


class FencedError(StopError):
    """Another process works under our slot name."""

    exit_code = 14


class RestoreStalledError(StopError):
    """The changelog, or a stretch to replay, could not be read to its end in time."""

    exit_code = 15


class LocalKafkaError(StopError):
    """The local Apache Kafka cannot be installed or started."""

    exit_code = 16


class PortTakenError(StopError):
    """Another program listens on the port."""

    exit_code = 17


class SourceError(StopError):
    """A video, camera or label file cannot be opened or read."""

    exit_code = 18


class OutputError(StopError):
    """The output cannot be written."""

    exit_code = 19


class DependencyError(StopError):
    """A package that this needs is not installed."""

    exit_code = 20


class CorruptStateError(StopError):
    """The changelog holds something that this version cannot read."""

    exit_code = 21


class StalledError(StopError):
    """Reading or committing stands still though the broker answers."""

    exit_code = 22


class NothingToAuditError(StopError):
    """No partition of the group has a manifest."""

    exit_code = 23


class CannotMoveError(StopError):
    """The partition cannot be moved: the group is at work, or the target is not in the log."""

    exit_code = 24


class FootageError(StopError):
    """The labelled videos to train on, or the table that lists them, are wrong."""

    exit_code = 25


class TrainingError(StopError):
    """Training cannot begin, or cannot go on: a name, a checkpoint, a loss that explodes."""

    exit_code = 26
