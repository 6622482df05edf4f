"""How settings are read: from flags, LONGTAKE_* variables and TOML files, and refused with words.

Earlier sources win: flags, environment, the file of `--config`, the file of `--kafka`.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pipeline.errors import ConfigError
from pipeline.kafka_settings import OTHER_NAMES, SECRETS, KafkaSettings, refuse_secret_flags
from pipeline.media.address import without_secrets
from pipeline.secrets import HIDDEN, Secret
from pipeline.service_links import without_service_links
from pipeline.text.log_lines import LogFormat

PREFIX = "LONGTAKE_"
KAFKA_VARIABLE = f"{PREFIX}KAFKA"  # the file of `--kafka`
SHOWN = 300  # characters of a wrong value in a message

Known = Callable[[Sequence[str]], Iterable[str]]
"""The names of the settings at a place in a file."""


class _OwnVariables(EnvSettingsSource):
    """The environment without the variables that Kubernetes and Docker add."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        own = without_service_links(os.environ, prefix=PREFIX)
        self.env_vars = {name.lower(): value for name, value in own.items()}


class Settings(BaseSettings):
    """The base of all settings: their sources. An unknown setting is an error."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    log_format: LogFormat = LogFormat.TEXT
    """Of standard error: `json` writes one object on each line."""
    otel: bool = False
    """Export spans as the OTEL_* variables say; needs the extra `otel`."""

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


def read_settings(
    kind: type[Loaded], file: Path | None, flags: Mapping[str, Any], *, known: Known
) -> Loaded:
    """Merge files, environment and flags (those that are not None). Raises `ConfigError`.

    The flag `kafka` is a file that says only how to reach the Kafka. `known` returns the names that
    the message for an unknown setting lists, for its place.
    """
    refuse_secret_flags(flags)
    given = {name: value for name, value in flags.items() if value is not None}
    kafka = given.pop("kafka", None) or _path_of(os.environ.get(KAFKA_VARIABLE))
    files = [path for path in (kafka, file) if path is not None]  # the later one wins
    for path in files:
        _check_toml(path)
    if kafka is not None:
        _check_kafka_file(kafka)

    class FromFile(kind):  # type: ignore[valid-type,misc]  # the base class is a parameter
        model_config = SettingsConfigDict(toml_file=files)

    try:
        loaded: Loaded = FromFile(**given)
    except ValidationError as exc:
        raise ConfigError(_explain(exc, known)) from None  # its cause shows what was written
    except SettingsError as exc:
        raise ConfigError(f"{exc}: a list in the environment is a JSON list") from exc
    except RecursionError as exc:
        raise ConfigError("the environment holds lists that are nested too deep") from exc
    except ValueError as exc:  # of a number with thousands of digits
        raise ConfigError(f"the environment cannot be read: {exc}") from exc
    return loaded


def _path_of(text: str | None) -> Path | None:
    return Path(text) if text else None


def _check_toml(file: Path) -> None:
    """Raise `ConfigError`, which names the file, if it cannot be read as TOML."""
    if not file.is_file():
        raise ConfigError(f"there is no configuration file {file}")
    try:
        tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file} is not TOML: {exc}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{file} holds lists or tables that are nested too deep") from exc
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # of a number with thousands of digits
        raise ConfigError(f"{file} cannot be read: {exc}") from exc


def _check_kafka_file(file: Path) -> None:
    """Raise `ConfigError` if the file of `--kafka` says more than how to reach the Kafka."""
    unknown = sorted(tomllib.loads(file.read_text("utf-8")).keys() - KafkaSettings.model_fields)
    if unknown:
        raise ConfigError(
            "; ".join(_no_such([name], KafkaSettings.model_fields) for name in unknown)
        )


def _no_such(place: Sequence[str], fields: Iterable[str]) -> str:
    name = place[-1]
    if name in OTHER_NAMES:
        return f"{name} is called {OTHER_NAMES[name]} here"
    near = difflib.get_close_matches(name, list(fields), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{'.'.join(place)}: no such setting{hint}; known are {', '.join(sorted(fields))}"


def _without_secrets(value: object) -> object:
    """Hide the logins of URLs in a value, for messages."""
    if isinstance(value, Secret):
        return value.shown
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {
            _without_secrets(name): HIDDEN if name in SECRETS else _without_secrets(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return value


def _explain(exc: ValidationError, known: Known) -> str:
    lines = []
    for error in exc.errors():
        place = [without_secrets(str(part)) for part in error["loc"]]
        key = ".".join(place)
        if error["type"] == "extra_forbidden":
            lines.append(_no_such(place, known(place)))
        elif not key:  # settings that do not fit together: their sentence names them
            lines.append(str(error["ctx"]["error"]) if "ctx" in error else error["msg"])
        else:
            shown = HIDDEN if key in SECRETS else repr(_without_secrets(error["input"]))
            shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
            lines.append(f"{key} = {shown}: {error['msg']}")
    return "wrong configuration: " + "; ".join(lines)
