"""Every exception that `pipeline` raises on purpose, sorted by fate: what happens next.

LongtakeError
├── RecordError                skip: this one record is dead-lettered, its stream continues
│   ├── MalformedRecordError       a key, header or size breaks the wire contract
│   ├── RefusedBatchError          the record's batch cannot be unpacked within limits
│   ├── TooManyStreamsError        a new stream's frame, and its partition has no room for it
│   ├── MovedStreamError           the stream has moved to another partition, its producer has not
│   └── UndecodableFrameError      the bytes are not a picture that we can decode
│       └── CrashingFrameError         the bytes crash or hang the process that decodes them
├── UnkeyedFrameError          skip: a unit of video whose keyframe is missing; its fate is its own
├── RetryError                 retry: an outside system does not answer, nothing was decided
│   ├── BrokerUnavailableError     the broker does not answer
│   ├── CommitRefusedError         the group has a newer generation; wait for it
│   ├── CommitTimedOutError        the broker aborted a transaction that took too long
│   ├── ShortLogError              the frames' log ends before what the group has finished
│   ├── TokenError                 the token endpoint of a login does not answer
│   └── CameraLostError            a camera cannot be reached, or sends no pictures
└── StopError                  stop: a person has to act; each has its exit code (2, 10-29, 35)
    ├── ConfigError                unknown key, wrong value
    ├── BrokerUnreachableError     no broker answered at start
    ├── TopicError                 a topic is missing or has the wrong settings
    ├── PartitionCountError        frames and state topics differ in partition counts
    ├── ForeignStateError          the state in the changelog belongs to another bundle
    ├── FencedError                another worker took over this worker's slot
    ├── RestoreStalledError        the changelog, or a range to replay, cannot be read to its end
    ├── LocalKafkaError            the local broker cannot be started
    ├── PortTakenError             another program listens on the port
    ├── SourceError                a video, camera or label file cannot be read
    ├── OutputError                the output file cannot be written (disk full, say)
    ├── DependencyError            a required package is not installed
    ├── CorruptStateError          the changelog holds a record that this version cannot read
    ├── StalledError               reading or committing makes no progress though the broker answers
    ├── NothingToAuditError        no worker of the group has ever committed
    ├── CannotMoveError            the partition cannot be moved there, or not now
    ├── FootageError               the labelled videos to train on are wrong
    ├── TrainingError              training cannot begin, or cannot continue
    ├── SecurityError              broker and client refuse each other: login, certificate, protocol
    ├── NotPermittedError          the broker does not permit an operation to our user
    ├── IdentityError              the group's memory belongs to other topics or to other rules
    └── ForeignOutputError         an output topic belongs to another group
"""

from enum import StrEnum
from typing import ClassVar


class LongtakeError(Exception):
    """Root of the errors of this package."""


class RecordError(LongtakeError):
    """Fate: skip. The record goes to the dead-letter topic under `reason`, its offset advances.

    `keeps_content`: the dead letter holds the record's value.
    """

    reason: ClassVar[str]
    keeps_content: ClassVar[bool] = True


class MalformedRecordError(RecordError):
    """A key, header or size that the wire contract does not allow."""

    reason = "malformed"


class RefusedBatchError(RecordError):
    """The record's batch cannot be unpacked: damaged, or far larger than any record may be."""

    reason = "refused"


class TooManyStreamsError(RecordError):
    """The frame of a new stream, and its partition has as many streams as are allowed.

    Anyone can publish under a new name, again and again, so its dead letter is small.
    """

    reason = "too_many_streams"
    keeps_content = False


class MovedStreamError(RecordError):
    """A record of a stream that has moved to another partition, from a producer that has not."""

    reason = "moved"

    def __init__(self, stream: str, to: int) -> None:
        super().__init__(
            f"stream {stream} has moved to partition {to}, where its memory is: its producer still"
            " uses the old count of partitions; see metadata.max.age.ms"
        )


class UndecodableFrameError(RecordError):
    """The bytes are not a picture that we can decode, or not a whole one."""

    reason = "undecodable"


class CrashingFrameError(UndecodableFrameError):
    """The bytes crash or hang the process that decodes them; seen in a child process."""

    reason = "crash"


class UnkeyedFrameError(LongtakeError):
    """A unit of video that cannot be decoded: its keyframe, or a unit after that, is missing.

    Fate: skip. It has a fate of its own and no dead letter: after one loss there can be hundreds.
    """


class RetryError(LongtakeError):
    """Fate: retry. Nothing was decided; the same operation is tried again."""


class BrokerUnavailableError(RetryError):
    """The broker does not answer, or cannot serve now. The outcome of a commit is unknown."""


class CommitRefusedError(RetryError):
    """The group refused the commit: this worker's generation has ended. Nothing was written."""


class CommitTimedOutError(RetryError):
    """The broker aborted our transaction, which took longer than the transaction timeout."""


class ShortLogError(RetryError):
    """The frames' log ends before what the group has finished: a new leader may be behind."""


class TokenError(RetryError):
    """The token endpoint of a login does not answer, or has an error of its own."""


class LossReason(StrEnum):
    """Why a camera was lost. The words label the metrics."""

    UNREACHABLE = "unreachable"  # nothing answers at the address
    REFUSED = "refused"  # the address answers, but refuses or holds no video
    STALLED = "stalled"  # the connection exists, but no picture came in time
    BROKEN = "broken"  # the connection broke, or its data could not be parsed
    ENDED = "ended"  # the camera closed the connection; a clip is at its end


class CameraLostError(RetryError):
    """A camera sends no pictures any more. `reason` is for metrics, the text for people."""

    def __init__(self, reason: LossReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class StopError(LongtakeError):
    """Fate: stop. The process ends with `exit_code`; the message names a way out."""

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
    """The changelog holds stream state of another bundle."""

    exit_code = 13


class FencedError(StopError):
    """Another process works under the same slot name."""

    exit_code = 14


class RestoreStalledError(StopError):
    """The changelog, or a range to replay, could not be read to its end in time."""

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
    """A required package is not installed."""

    exit_code = 20


class CorruptStateError(StopError):
    """The changelog holds a record that this version cannot read."""

    exit_code = 21


class StalledError(StopError):
    """Reading or committing makes no progress although the broker answers."""

    exit_code = 22


class NothingToAuditError(StopError):
    """No partition of the group has a manifest."""

    exit_code = 23


class CannotMoveError(StopError):
    """The partition cannot be moved: the group is running, or the target is not in the log."""

    exit_code = 24


class FootageError(StopError):
    """The labelled videos to train on, or the table that lists them, are wrong."""

    exit_code = 25


class TrainingError(StopError):
    """Training cannot begin or continue: a wrong name, a wrong checkpoint, a loss that explodes."""

    exit_code = 26


class SecurityError(StopError):
    """The broker refuses our login or certificate, we do not trust its, or it is no Kafka.

    The same connection is refused again until a person changes a setting or the broker.
    """

    exit_code = 27


class NotPermittedError(StopError):
    """The broker knows our user and does not permit what we asked for."""

    exit_code = 28


class IdentityError(StopError):
    """The group's memory and ledger belong to other topics, or to other rules, or are lost.

    A topic was deleted and made anew, a setting was changed that decides, or the changelog is gone.
    """

    exit_code = 29


class ForeignOutputError(StopError):
    """A topic that we would publish into belongs to another group."""

    exit_code = 35
