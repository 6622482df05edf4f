"""Fills in secrets: `${NAME}` from the environment, `${file:/path}` from a file.

The only place that reads them. They are read at each call, so a caller that fills in a text at
each new connection uses a replaced secret without a restart.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from pipeline.errors import ConfigError

MAX_SECRET_BYTES = 64 * 1024
PLACE = re.compile(r"\$\{(?:file:([^}]+)|([\w.-]+))\}")
"""A place in a text for a secret; group 1 is the path of a file, or group 2 a variable's name."""
HIDDEN = "***"  # stands for a secret


def _unchanged(secret: str) -> str:
    return secret


def filled(
    text: str,
    *,
    environment: Mapping[str, str] = os.environ,
    encode: Callable[[str], str] = _unchanged,
) -> str:
    """Replace each `${NAME}` and `${file:/path}` in the text by the secret, passed to `encode`.

    A file is read whole, without one line end at its end. Raises `ConfigError` for a variable that
    does not exist, and for a file that is missing, empty, too large, not UTF-8 or not a regular
    file. The message names the variable or the file, and contains nothing else of the text.
    """

    def fill(found: re.Match[str]) -> str:
        if found[1]:
            return encode(_read(found[1]))
        if found[2] not in environment:
            raise ConfigError(f"the environment has no {found[2]}")
        return encode(environment[found[2]])

    return PLACE.sub(fill, text)


class Secret:
    """A secret as it was written in a setting. Only `read` returns it; nothing shows it."""

    __slots__ = ("_written",)

    def __init__(self, written: str) -> None:
        self._written = written

    @property
    def is_place(self) -> bool:
        """Whether the setting says only where the secret is."""
        return PLACE.fullmatch(self._written) is not None

    @property
    def shown(self) -> str:
        """The place, or nothing but asterisks."""
        return self._written if self.is_place else HIDDEN

    def read(self) -> str:
        """Return the secret as it is now. Raises `ConfigError` as `filled` does."""
        return filled(self._written)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._written == other._written

    def __hash__(self) -> int:
        return hash(self._written)

    def __repr__(self) -> str:
        return f"Secret({self.shown})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Make one of a setting."""
        del source, handler
        return core_schema.no_info_plain_validator_function(cls._of)

    @classmethod
    def _of(cls, value: object) -> "Secret":
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or not 0 < len(value) <= MAX_SECRET_BYTES:
            raise ValueError("wanted text in quotes, and not an empty one")
        return cls(value)


def _read(name: str) -> str:
    try:
        secret = _content(name).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"the secret in {name} cannot be read: it is not UTF-8") from None
    except (OSError, ValueError) as exc:  # ValueError: the name contains a NUL
        why = getattr(exc, "strerror", None) or "it is no path"
        raise ConfigError(f"the secret in {name} cannot be read: {why}") from None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigError(f"the secret in {name} is empty")
    return secret


def _content(name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would block
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"the secret in {name} cannot be read: it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigError(f"the secret in {name} has more than {MAX_SECRET_BYTES} bytes")
    return content
