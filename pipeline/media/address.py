"""Where a camera is. Its secrets come from the environment or from a file, and are never shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pipeline.errors import ConfigError

_PLACE = re.compile(r"\$\{(file:)?([^}]+)\}")
SECRET_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Address:
    """`url` opens the camera, `shown` is for people: it has no user and no password."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def of(cls, text: str, environment: Mapping[str, str]) -> "Address":
        """Fill in `${NAME}` from the environment and `${file:/path}` from a file's first line.

        What is filled in is percent-encoded but for `:`, so that `user:password` can be one secret
        whatever letters it has. Raises `ConfigError` for a name or file that is not there.
        """

        def fill(found: re.Match[str]) -> str:
            secret = _read(found[2]) if found[1] else environment.get(found[2])
            if secret is None:
                raise ConfigError(f"{without_login(text)}: the environment has no {found[2]}")
            return quote(secret, safe=":")

        return cls(_PLACE.sub(fill, text), without_login(text))


def without_login(url: str) -> str:
    """Leave out `user:password@` and what comes after a question mark: tokens stand there."""
    if "://" not in url:
        return url
    shown = re.sub(r"://(?:[^/?#]*@)?", "://", url, count=1)
    return re.sub(r"\?.*", "?...", shown, flags=re.DOTALL)


def _read(name: str) -> str:
    try:
        with Path(name).open(encoding="utf-8") as file:
            line = file.readline(SECRET_BYTES).rstrip("\r\n")
    except (OSError, UnicodeError) as exc:
        raise ConfigError(f"the secret in {name} cannot be read: {type(exc).__name__}") from exc
    if not line:
        raise ConfigError(f"the secret in {name} is empty")
    return line
