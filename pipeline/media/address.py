"""The address of a source, and the only rule for what may be shown of it: no login, no token.

Every URL that is logged or printed, or from which a stream id is made, is an `Address`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import quote

from pipeline.errors import ConfigError
from pipeline.secrets import PLACE, filled

STREAM_CHARACTERS = 190  # a stream id has at most 200; the rest is room for a number

_NO_DEVICES = ("/dev/fd/", "/dev/shm/", "/dev/stdin")  # noqa: S108 - files all the same
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)+//")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^:\[\]]*)(?::\d{1,5})?")
_PROTOCOLS = frozenset(
    {"async", "cache", "http", "https", "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts",
     "rtp", "rtsp", "rtsps", "srt", "srtp", "tcp", "tls", "udp"}
)  # fmt: skip
_HIDDEN = "..."


@dataclass(frozen=True, slots=True)
class Address:
    """`url` opens the source. `shown` is for people, and has no user, password or token in it."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def of(cls, text: str, environment: Mapping[str, str]) -> "Address":
        """Replace `${NAME}` by an environment variable, `${file:/path}` by a file's first line.

        The values are percent-encoded except for `:`, so that `user:password` can be one secret
        with any characters. Raises `ConfigError` as `filled` does.
        """
        try:
            url = filled(text, environment=environment, encode=_in_url)
        except ConfigError as exc:
            raise ConfigError(f"{without_secrets(text)}: {exc}") from None
        return cls(url, without_secrets(text))

    @classmethod
    def at(cls, path: Path) -> "Address":
        """Make the address of a path, without replacing `${`."""
        return cls(str(path), without_secrets(str(path)))

    @property
    def is_url(self) -> bool:
        """Whether the source is a URL, so on a network."""
        return "://" in self.url

    @property
    def scheme(self) -> str:
        """What stands before `://`, in small letters; empty if the source is no URL."""
        scheme, found, _ = self.url.partition("://")
        return scheme.lower() if found else ""

    @property
    def is_rtsp(self) -> bool:
        """Whether it is read by RTSP."""
        return self.scheme in ("rtsp", "rtsps")

    @property
    def is_device(self) -> bool:
        """Whether the source is a camera of this machine."""
        return self.url.startswith("/dev/") and not self.url.startswith(_NO_DEVICES)

    @property
    def is_live(self) -> bool:
        """Whether the source sends at its own pace: everything except a file."""
        return self.is_url or self.is_device

    @property
    def stream(self) -> str:
        """An id for the stream: the last part of the path, or the host. Contains no secret."""
        scheme = found[0] if (found := _SCHEME.match(self.shown)) else ""
        place = re.sub(r"[?#]\.\.\.$", "", self.shown.removeprefix(scheme)).split("...@")[-1]
        parts = [part for part in place.split("/") if part not in ("", _HIDDEN)]
        last = parts[-1] if parts else ""
        host_alone = scheme != "" and len(parts) == 1  # the dots of a host do not begin a suffix
        name = last if host_alone else PurePath(last).stem
        name = name or scheme.partition(":")[0] or "source"
        return re.sub(r"[^A-Za-z0-9._:-]+", "-", name)[:STREAM_CHARACTERS]


def without_secrets(text: str) -> str:
    """Replace the login, query, fragment and parameters in the path (`NAME=VALUE`) by `...`.

    A password with an unencoded `@`, `/`, `?` or `#` makes a URL ambiguous. Then everything that
    could be part of a secret by any reading is hidden; in doubt, everything after the scheme. Even
    the scheme can be one: `user://word@host` is a login without a scheme, or a protocol `user`.
    """
    text = PLACE.sub(lambda found: found[0] if found[2] else f"${{{_HIDDEN}}}", text)
    if _is_file(text):
        return text
    scheme = found[0] if (found := _SCHEME.match(text)) else ""
    before, at, after = text.removeprefix(scheme).rpartition("@")
    whole = scheme != ""
    if at and not _PROTOCOLS.issuperset(scheme.removesuffix("://").lower().split(":")):
        scheme = ""
    if re.search(r"[?#]", before) or (re.search(r"[/;]", before) and "=" in before):
        return f"{scheme}{_HIDDEN}"
    clear = at == "" or (scheme != "" and "/" not in before)
    return scheme + ("" if clear else f"{_HIDDEN}@") + _place(after, whole=whole)


def _is_file(text: str) -> bool:
    """Whether the text is a path, so without secrets, and not a URL whose scheme was forgotten."""
    if "://" in text or text.startswith("//"):
        return False
    return text.startswith(("/", ".", "~")) or not re.search(r":|\?.*=", text, re.DOTALL)


def _place(after: str, *, whole: bool) -> str:
    """Return what may be shown of host, path and query; `whole`: with a scheme, check the host."""
    path = re.match(r"[^?#]*", after)
    shown = path[0] if path else ""
    if whole and not _HOST.fullmatch(shown.partition("/")[0]):
        return _HIDDEN  # a login without its host: user:password
    if parameter := re.search(r"[^/]*=", shown):
        return shown[: parameter.start()] + _HIDDEN
    return shown if shown == after else f"{shown}{after[len(shown)]}{_HIDDEN}"


def _in_url(secret: str) -> str:
    """Percent-encode the first line of a secret."""
    return quote(secret.partition("\n")[0].removesuffix("\r"), safe=":")
