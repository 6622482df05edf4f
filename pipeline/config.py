"""Settings from defaults, a TOML file, LONGTAKE_* variables and flags. Later sources win."""

import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from engines.base import EngineName, GpuPrecision
from pipeline.connection import RESET_SLOT, GroupSettings
from pipeline.errors import ConfigError
from pipeline.events.event_settings import EventSettings, LabelEvents
from pipeline.kafka_settings import KafkaSettings
from pipeline.media.headers.picture_headers import FRAME_PIXELS, MAX_PIXELS
from pipeline.records import STATE_SUFFIX, Topics
from pipeline.service_links import without_service_links
from pipeline.settings import KAFKA_VARIABLE, PREFIX, Known, Loaded, Settings, read_settings
from pipeline.wire.frames import is_stream_id

OTHER_VARIABLES = {
    KAFKA_VARIABLE,
    "LONGTAKE_CACHE",  # read by the local broker
    *("LONGTAKE_SPOOL", "LONGTAKE_SPOOL_S", "LONGTAKE_SPOOL_BYTES"),  # by cameras
    "LONGTAKE_STATES_S",  # by cameras
}

MAX_STREAMS = 10_000  # of a partition, unless the operator sets another limit
KEYFRAME_S = 60.0
MAX_DECODERS = 256
MAX_EXPECTED = 10_000  # each has three series in every worker
DECIDING_RULES = (
    "gap_reset_s",
    "stream_ttl_s",
    "max_streams",
    "keyframe_s",
    "max_frame_bytes",
    "max_frame_pixels",
)
"""The settings on which fates and memory depend: all workers of a group need the same."""
EVENT_RULES = "events."
"""What the names of the rules of events begin with."""


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("wanted a number, not true or false")
    return value


Number = BeforeValidator(_no_switch)
KafkaName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
OptionalKafkaName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,200}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365), Number]


def _stream(value: str) -> str:
    if not is_stream_id(value):
        raise ValueError("a stream's id has 1 to 200 characters of A-Z a-z 0-9 . _ : -")
    return value


StreamId = Annotated[str, AfterValidator(_stream)]


class Start(StrEnum):
    """The offset at which the group begins a partition that it has never read."""

    LATEST = "latest"
    EARLIEST = "earliest"


class ForeignState(StrEnum):
    """What to do with memory in the changelog that another bundle wrote."""

    REFUSE = "refuse"
    RESET = "reset"
    CARRY = "carry"


class ChangedRules(StrEnum):
    """What to do if the group's frames were decided by other settings, or its topics were others.

    See `DECIDING_RULES`.
    """

    REFUSE = "refuse"
    ACCEPT = "accept"


class Delivery(StrEnum):
    """When predictions are published: with the memory they belong to, or at once."""

    EXACTLY_ONCE = "exactly_once"
    LOW_LATENCY = "low_latency"


class Overload(StrEnum):
    """What to do with frames that wait for the engine if it is too slow."""

    PROCESS_ALL = "process_all"
    LATEST = "latest"


class OnStop(StrEnum):
    """What a worker with a slot does about its group membership at SIGTERM or SIGINT."""

    LEAVE = "leave"
    STAY = "stay"


class WorkerConfig(KafkaSettings, Settings):
    """All settings of a worker. Times in seconds, sizes in bytes."""

    group: KafkaName = "longtake"
    bundle: str = "actions"
    engine: EngineName = "auto"
    """`auto` takes TensorRT if there is a GPU with all that it needs, and logs the choice."""
    gpu_precision: GpuPrecision = "float16"
    """Of the encoder under TensorRT; the recurrent head always runs in float32."""
    plans: Path | None = None
    """A folder of plans that `engine build --for` has made elsewhere, for TensorRT for RTX."""
    engine_threads: Annotated[int, Field(ge=1, le=256), Number] = 1
    decode_threads: Annotated[int, Field(ge=1, le=256), Number] = 2
    slot: KafkaName | None = None
    """A name that outlives the process: a restarted worker is back in its place in a second."""
    on_stop: OnStop = OnStop.LEAVE
    """At SIGTERM or SIGINT: `leave` frees the partitions at once; `stay` keeps them for the next
    worker of this slot until `session_timeout_s` is over. Without a slot a worker always leaves."""

    frames_topic: KafkaName = "frames"
    predictions_topic: KafkaName = "predictions"
    dead_letters_topic: KafkaName = "frames.dlq"
    cameras_topic: OptionalKafkaName = "cameras"
    """Of the states of cameras, which `longtake camera` publishes; workers do not use it."""

    events: EventSettings | None = None
    """The table `[events]`: starts and ends of labels are published; without it none are."""
    events_topic: KafkaName = "events"

    wait_for_topics_s: Annotated[float, Field(ge=0, le=86_400), Number] = 0.0
    """At the start, how long to wait for topics that are missing and for a broker."""
    start: Start = Start.LATEST
    foreign_state: ForeignState = ForeignState.REFUSE
    changed_rules: ChangedRules = ChangedRules.REFUSE
    """`accept`: go on with our settings and topics of output from here on, and write that down."""
    gap_reset_s: Seconds = 2.0
    stream_ttl_s: Seconds = 3600.0
    max_streams: Annotated[int, Field(ge=1, le=1_000_000), Number] = MAX_STREAMS
    """Of one partition. While as many are within their time to live, frames of a new stream are
    dead-lettered; streams that have begun go on."""

    keyframe_s: Annotated[float, Field(gt=0, le=3600), Number] = KEYFRAME_S
    """H.264 in the log: after this time of the partition, units are not decoded without another
    keyframe. A restore reads at most so far back."""
    max_decoders: Annotated[int, Field(ge=1, le=100_000), Number] = MAX_DECODERS
    """Open H.264 decoders, of 5 MB (360p) to 36 MB (1080p) each. Streams above the limit decode
    the units since their keyframe again for each new one: same results, more time."""

    delivery: Delivery = Delivery.EXACTLY_ONCE
    """`low_latency`: predictions are published at once; after a crash some are repeated."""
    overload: Overload = Overload.PROCESS_ALL
    """`latest`: of a stream's waiting frames only the newest goes to the engine."""
    checkpoint_s: Annotated[float, Field(ge=0.01, le=60), Number] = 0.1
    linger_s: Annotated[float, Field(ge=0, le=1), Number] = 0.0
    """How long Kafka may gather frames that come all the time, to hand them over together."""
    max_batch: Annotated[int, Field(ge=1, le=1024), Number] = 16
    max_frame_bytes: Annotated[int, Field(ge=1024, le=64 << 20), Number] = 8 << 20
    max_frame_pixels: Annotated[int, Field(ge=1, le=MAX_PIXELS), Number] = FRAME_PIXELS
    """A picture that has more, by its header, is dead-lettered before a pixel is decoded."""
    max_pending_bytes: Annotated[int, Field(ge=1 << 20), Number] = 256 << 20
    """Limit of frames polled but not finished, with their inputs at the model's size, and unpacked
    as long as they are not decoded. Above it reading pauses, below half of it reading resumes;
    partitions that hold little of it are read on. The same limit applies separately to the outgoing
    records that wait for their commit."""
    max_open_records: Annotated[int, Field(ge=1), Number] = 20_000
    """Limit of records finished but not committed. At it the worker predicts no more until a
    commit."""

    session_timeout_s: Annotated[float, Field(ge=1, le=300), Number] = 6.0
    heartbeat_s: Annotated[float, Field(ge=0.1, le=60), Number] = 0.25
    transaction_timeout_s: Annotated[float, Field(ge=1, le=300), Number] = 3.0

    expected_streams: Annotated[tuple[StreamId, ...], Field(max_length=MAX_EXPECTED)] = ()
    """Streams with metrics of their own, seen or not, so that an alert can find a missing one."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535), Number] = 9108
    """The port of /metrics, /healthz and /readyz; 0 takes any free port."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        """Refuse names that would make two things one."""
        state = self.topics.state
        by_setting = {
            "frames_topic": self.frames_topic,
            "predictions_topic": self.predictions_topic,
            "dead_letters_topic": self.dead_letters_topic,
            "cameras_topic": self.cameras_topic,
        }
        if self.events is not None:
            by_setting["events_topic"] = self.events_topic
        for setting, name in by_setting.items():
            if name.endswith(STATE_SUFFIX):
                raise ValueError(
                    f"{setting} = {name!r}: names that end in {STATE_SUFFIX} are those of the"
                    f" memory of groups (here {state}); take another name"
                )
            twins = [other for other, its in by_setting.items() if its == name]
            if name and len(twins) > 1:
                raise ValueError(
                    f"{' and '.join(twins)} are both {name!r}: each needs a topic of its own"
                )
        if self.slot == RESET_SLOT:
            raise ValueError(f"slot = {RESET_SLOT!r}: `longtake reset` works under this name")
        return self

    @property
    def topics(self) -> Topics:
        """The topics of this group."""
        return Topics(
            self.frames_topic,
            self.predictions_topic,
            self.dead_letters_topic,
            f"{self.group}{STATE_SUFFIX}",
            self.cameras_topic,
            "" if self.events is None else self.events_topic,
        )

    @property
    def rules(self) -> dict[str, float]:
        """The settings that decide, see `DECIDING_RULES`, and those of events, if there are any."""
        own = {} if self.events is None else self.events.deciding()
        return {name: float(getattr(self, name)) for name in DECIDING_RULES} | {
            f"{EVENT_RULES}{name}": value for name, value in own.items()
        }

    @property
    def group_settings(self) -> GroupSettings:
        """The settings that the Kafka clients of this group need."""
        return GroupSettings(
            connection=self.connection,
            topics=self.topics,
            group=self.group,
            slot=self.slot,
            session_timeout_s=self.session_timeout_s,
            heartbeat_s=self.heartbeat_s,
            transaction_timeout_s=self.transaction_timeout_s,
            leaves_at_stop=self.on_stop is OnStop.LEAVE,
            gather_s=self.linger_s,
        )


def load_config(file: Path | None, flags: Mapping[str, Any]) -> WorkerConfig:
    """Read a worker's settings: see `load_settings`."""
    return load_settings(WorkerConfig, file, flags, known=_known)


def _known(place: Sequence[str]) -> Iterable[str]:
    if place[0] != "events" or len(place) == 1:
        return WorkerConfig.model_fields
    return (EventSettings if len(place) == 2 else LabelEvents).model_fields


def load_settings(
    kind: type[Loaded], file: Path | None, flags: Mapping[str, Any], *, known: Known
) -> Loaded:
    """Read settings of any kind, see `read_settings`, and refuse LONGTAKE_* that nothing reads."""
    _refuse_unknown_variables(os.environ)
    return read_settings(kind, file, flags, known=known)


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{name}".upper() for name in WorkerConfig.model_fields} | OTHER_VARIABLES
    own = without_service_links(environment, prefix=PREFIX)
    ours = {name for name in own if name.upper().startswith(PREFIX)}
    unknown = sorted(name for name in ours if name.upper() not in known)
    if unknown:
        raise ConfigError(
            f"the environment has {', '.join(unknown)}, which longtake does not know;"
            f" known are {', '.join(sorted(known))}"
        )
