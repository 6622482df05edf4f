"""Settings from defaults, a TOML file, LONGTAKE_* variables and flags. Later sources win."""

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from engines.base import EngineName, GpuPrecision
from pipeline.connection import Connection, GroupSettings
from pipeline.errors import ConfigError
from pipeline.media.address import without_secrets
from pipeline.records import Topics
from pipeline.service_links import without_service_links
from pipeline.wire.frames import is_stream_id

PREFIX = "LONGTAKE_"
OTHER_VARIABLES = {
    "LONGTAKE_CACHE",  # read by the local broker
    *("LONGTAKE_SPOOL", "LONGTAKE_SPOOL_S", "LONGTAKE_SPOOL_BYTES"),  # by cameras
}

SHOWN = 300  # characters of a wrong value in a message
MAX_EXPECTED = 10_000  # each has three series in every worker

KafkaName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("wanted a number, not true or false")
    return value


Number = BeforeValidator(_no_switch)
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365), Number]


def _stream(value: str) -> str:
    if not is_stream_id(value):
        raise ValueError("a stream's id has 1 to 200 characters of A-Z a-z 0-9 . _ : -")
    return value


StreamId = Annotated[str, AfterValidator(_stream)]


def _servers(value: str) -> str:
    return Connection(value).bootstrap


Servers = Annotated[str, AfterValidator(_servers)]


class Start(StrEnum):
    """The offset at which the group begins a partition that it has never read."""

    LATEST = "latest"
    EARLIEST = "earliest"


class ForeignState(StrEnum):
    """What to do with memory in the changelog that another bundle wrote."""

    REFUSE = "refuse"
    RESET = "reset"
    CARRY = "carry"


class Delivery(StrEnum):
    """When predictions are published: with the memory they belong to, or at once."""

    EXACTLY_ONCE = "exactly_once"
    LOW_LATENCY = "low_latency"


class Overload(StrEnum):
    """What to do with frames that wait for the engine if it is too slow."""

    PROCESS_ALL = "process_all"
    LATEST = "latest"


class _OwnVariables(EnvSettingsSource):
    """The environment without the variables that Kubernetes and Docker add."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        own = without_service_links(os.environ, prefix=PREFIX)
        self.env_vars = {name.lower(): value for name, value in own.items()}


class OnStop(StrEnum):
    """What a worker with a slot does about its group membership at SIGTERM or SIGINT."""

    LEAVE = "leave"
    STAY = "stay"


class Settings(BaseSettings):
    """The base of all settings: their sources. An unknown setting is an error."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources: flags, then environment, then file. No .env files, no secrets."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _OwnVariables(settings_cls), TomlConfigSettingsSource(settings_cls)


Loaded = TypeVar("Loaded", bound=Settings)


class WorkerConfig(Settings):
    """All settings of a worker. Times in seconds, sizes in bytes."""

    bootstrap: Servers = "127.0.0.1:9092"
    group: KafkaName = "longtake"
    bundle: str = "actions"
    engine: EngineName = "auto"
    """`auto` takes TensorRT if there is a GPU with all that it needs, and logs the choice."""
    gpu_precision: GpuPrecision = "float16"
    """Of the encoder under TensorRT; the recurrent head always runs in float32."""
    engine_threads: Annotated[int, Field(ge=1, le=256), Number] = 1
    decode_threads: Annotated[int, Field(ge=1, le=256), Number] = 1
    slot: KafkaName | None = None
    """A name that outlives the process: a restarted worker is back in its place in a second."""
    on_stop: OnStop = OnStop.LEAVE
    """At SIGTERM or SIGINT: `leave` frees the partitions at once; `stay` keeps them for the next
    worker of this slot until `session_timeout_s` is over. Without a slot a worker always leaves."""

    frames_topic: KafkaName = "frames"
    predictions_topic: KafkaName = "predictions"
    dead_letters_topic: KafkaName = "frames.dlq"

    start: Start = Start.LATEST
    foreign_state: ForeignState = ForeignState.REFUSE
    gap_reset_s: Seconds = 2.0
    stream_ttl_s: Seconds = 3600.0

    delivery: Delivery = Delivery.EXACTLY_ONCE
    """`low_latency`: predictions are published at once; after a crash some are repeated."""
    overload: Overload = Overload.PROCESS_ALL
    """`latest`: of a stream's waiting frames only the newest goes to the engine."""
    checkpoint_s: Annotated[float, Field(ge=0.01, le=60), Number] = 0.1
    max_batch: Annotated[int, Field(ge=1, le=1024), Number] = 16
    max_frame_bytes: Annotated[int, Field(ge=1024, le=64 << 20), Number] = 8 << 20
    max_pending_bytes: Annotated[int, Field(ge=1 << 20), Number] = 256 << 20
    """Limit of frames polled but not finished, with their inputs at the model's size. Above it
    reading pauses, below half of it reading resumes. The same limit applies separately to the
    outgoing records that wait for their commit."""
    max_open_records: Annotated[int, Field(ge=1), Number] = 20_000
    """Limit of records finished but not committed. At it the worker predicts no more until a
    commit."""

    session_timeout_s: Annotated[float, Field(ge=1, le=300), Number] = 6.0
    heartbeat_s: Annotated[float, Field(ge=0.1, le=60), Number] = 0.5
    transaction_timeout_s: Annotated[float, Field(ge=1, le=300), Number] = 3.0

    expected_streams: Annotated[tuple[StreamId, ...], Field(max_length=MAX_EXPECTED)] = ()
    """Streams with metrics of their own, seen or not, so that an alert can find a missing one."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535), Number] = 9108
    """The port of /metrics, /healthz and /readyz; 0 takes any free port."""

    @property
    def topics(self) -> Topics:
        """The topics of this group."""
        return Topics(
            self.frames_topic,
            self.predictions_topic,
            self.dead_letters_topic,
            f"{self.group}.state",
        )

    @property
    def connection(self) -> Connection:
        """How to reach Kafka."""
        return Connection(self.bootstrap)

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
        )


Known = Callable[[Sequence[str]], Iterable[str]]


def load_config(file: Path | None, flags: Mapping[str, Any]) -> WorkerConfig:
    """Read a worker's settings: see `load_settings`."""
    return load_settings(WorkerConfig, file, flags, known=lambda _: WorkerConfig.model_fields)


def load_settings(
    kind: type[Loaded], file: Path | None, flags: Mapping[str, Any], *, known: Known
) -> Loaded:
    """Merge file, environment and flags (those that are not None). Raises `ConfigError`.

    `known` returns the names that the message for an unknown setting lists, for its place.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"there is no configuration file {file}")

    class FromFile(kind):  # type: ignore[valid-type,misc]  # the base class is a parameter
        model_config = SettingsConfigDict(toml_file=file)

    _refuse_unknown_variables(os.environ)
    try:
        loaded: Loaded = FromFile(**{n: value for n, value in flags.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file} is not TOML: {exc}") from exc
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        raise ConfigError(_explain(exc, known)) from exc
    except SettingsError as exc:
        raise ConfigError(f"{exc}: a list in the environment is a JSON list") from exc
    return loaded


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


def _without_secrets(value: object) -> object:
    """Hide the logins of URLs in a value, for messages."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {_without_secrets(name): _without_secrets(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return value


def _explain(exc: ValidationError, known: Known) -> str:
    lines = []
    for error in exc.errors():
        place = [without_secrets(str(part)) for part in error["loc"]]
        key = ".".join(place)
        if error["type"] == "extra_forbidden":
            names = ", ".join(sorted(known(place)))
            lines.append(f"{key}: no such setting; known are {names}")
        else:
            shown = repr(_without_secrets(error["input"]))
            shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
            lines.append(f"{key} = {shown}: {error['msg']}")
    return "wrong configuration: " + "; ".join(lines)
