"""Where a source is, and the only rule of what may be shown of it: no login, no token.

Every URL that is logged, printed or gives a stream its id is an `Address`. Secrets come from the
environment or from a file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import quote

from pipeline.errors import ConfigError

SECRET_BYTES = 4096
STREAM_CHARACTERS = 190  # of an id of at most 200: a number may follow

_PLACE = re.compile(r"\$\{(?:file:([^}]+)|([\w.-]+))\}")
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)+//")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^:\[\]]*)(?::\d{1,5})?")
_HIDDEN = "..."


@dataclass(frozen=True, slots=True)
class Address:
    """`url` opens the source, `shown` is for people: it has no user, no password and no token."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def of(cls, text: str, environment: Mapping[str, str]) -> "Address":
        """Fill in `${NAME}` from the environment and `${file:/path}` from a file's first line.

        What is filled in is percent-encoded but for `:`, so that `user:password` can be one secret
        whatever letters it has. Raises `ConfigError` for a name or file that is not there.
        """

        def fill(found: re.Match[str]) -> str:
            secret = _read(found[1]) if found[1] else environment.get(found[2])
            if secret is None:
                raise ConfigError(f"{without_secrets(text)}: the environment has no {found[2]}")
            return quote(secret, safe=":")

        return cls(_PLACE.sub(fill, text), without_secrets(text))

    @classmethod
    def at(cls, path: Path) -> "Address":
        """Take a path as it is, `${` included."""
        return cls(str(path), without_secrets(str(path)))

    @property
    def is_url(self) -> bool:
        """Whether it is on a network."""
        return "://" in self.url

    @property
    def stream(self) -> str:
        """An id for its stream: the last part of its path, or the host. It has no secret."""
        scheme = found[0] if (found := _SCHEME.match(self.shown)) else ""
        place = re.sub(r"[?#]\.\.\.$", "", self.shown.removeprefix(scheme)).split("...@")[-1]
        parts = [part for part in place.split("/") if part not in ("", _HIDDEN)]
        last = parts[-1] if parts else ""
        host_alone = scheme != "" and len(parts) == 1  # its dots are no suffix
        name = last if host_alone else PurePath(last).stem
        name = name or scheme.partition(":")[0] or "source"
        return re.sub(r"[^A-Za-z0-9._:-]+", "-", name)[:STREAM_CHARACTERS]


def without_secrets(text: str) -> str:
    """Hide the login, the query, the fragment and parameters in the path: `NAME=VALUE`.

    A password with a bare `@`, `/`, `?` or `#` makes a URL ambiguous. All that could be part of a
    secret by any reading is hidden then, in doubt all after the scheme.
    """
    text = _PLACE.sub(lambda found: found[0] if found[2] else f"${{{_HIDDEN}}}", text)
    if _is_file(text):
        return text
    scheme = found[0] if (found := _SCHEME.match(text)) else ""
    before, at, after = text.removeprefix(scheme).rpartition("@")
    if re.search(r"[?#]", before) or ("/" in before and "=" in before):
        return f"{scheme}{_HIDDEN}"
    clear = at == "" or (scheme != "" and "/" not in before)
    return scheme + ("" if clear else f"{_HIDDEN}@") + _place(after, whole=scheme != "")


def _is_file(text: str) -> bool:
    """Whether no secret is in it: a path, unless it looks like a URL whose scheme was forgotten."""
    if "://" in text or text.startswith("//"):
        return False
    return text.startswith(("/", ".", "~")) or not re.search(r":|\?.*=", text, re.DOTALL)


def _place(after: str, *, whole: bool) -> str:
    """What may be shown of host, path and query; of a `whole` URL the host is checked."""
    path = re.match(r"[^?#]*", after)
    shown = path[0] if path else ""
    if whole and not _HOST.fullmatch(shown.partition("/")[0]):
        return _HIDDEN  # a login without its host: user:password
    if parameter := re.search(r"[^/]*=", shown):
        return shown[: parameter.start()] + _HIDDEN
    return shown if shown == after else f"{shown}{after[len(shown)]}{_HIDDEN}"


def _read(name: str) -> str:
    try:
        with Path(name).open(encoding="utf-8") as file:
            line = file.readline(SECRET_BYTES).rstrip("\r\n")
    except (OSError, UnicodeError) as exc:
        raise ConfigError(f"the secret in {name} cannot be read: {type(exc).__name__}") from exc
    if not line:
        raise ConfigError(f"the secret in {name} is empty")
    return line
