"""The address of a source, and the only rule for what may be shown of it: no login, no token.

Every URL that is logged or printed, or from which a stream id is made, is an `Address`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import quote, unquote

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
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_TOKEN_FOLLOWS = re.compile("token|secret|passw|pwd|auth|session|signature|apikey|jwt|^key$", re.I)
LONG_PART = 20  # characters of a part of a path with letters of both cases and digits
LONG_RUN = 32  # characters without any separator
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
        with any characters. Blanks around a URL are removed, its scheme is written in small
        letters, because libav knows no others. Raises `ConfigError` as `filled` does.
        """
        if "://" in text:
            text = _SCHEME.sub(lambda found: found[0].lower(), text.strip(), count=1)
        try:
            url = filled(text, environment=environment, encode=_in_url)
        except ConfigError as exc:
            raise ConfigError(f"{without_secrets(text)}: {exc}") from None
        return cls(url, text if _exists(text) else without_secrets(text))

    @classmethod
    def at(cls, path: Path) -> "Address":
        """Make the address of a path, without replacing `${`."""
        return cls(str(path), str(path) if _exists(str(path)) else without_secrets(str(path)))

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
        if self.url == "-":
            return "stdin"
        scheme = found[0] if (found := _SCHEME.match(self.shown)) else ""
        place = re.sub(r"[?#]\.\.\.$", "", self.shown.removeprefix(scheme)).split("...@")[-1]
        parts = [part for part in place.split("/") if part not in ("", _HIDDEN)]
        last = parts[-1] if parts else ""
        host_alone = scheme != "" and len(parts) == 1  # the dots of a host do not begin a suffix
        name = last if host_alone else PurePath(last).stem
        name = name or scheme.partition(":")[0] or "source"
        return re.sub(r"[^A-Za-z0-9._:-]+", "-", name)[:STREAM_CHARACTERS]


def without_secrets(text: str) -> str:
    """Replace login, query, fragment, and what looks like a secret in the path, by `...`.

    In the path these are parameters (`NAME=VALUE`), `user:password`, long random parts, and what
    follows a part such as `token`.

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


def _exists(text: str) -> bool:
    """Whether the text is the path of a file or folder, so no address of anything else.

    A recording may be named by its time: `gate/2026-11-30T10:00:00.mp4`.
    """
    return "://" not in text and os.path.exists(text)  # noqa: PTH110 - False for any odd text


def _is_file(text: str) -> bool:
    """Whether the text is a path, so without secrets, and not a URL whose scheme was forgotten."""
    if "://" in text or text.startswith("//"):
        return False
    return text.startswith(("/", ".", "~")) or not re.search(r":|\?.*=", text, re.DOTALL)


def _place(after: str, *, whole: bool) -> str:
    """Return what may be shown of host, path and query; `whole`: with a scheme, check the host."""
    path = re.match(r"[^?#]*", after)
    plain = path[0] if path else ""
    if whole and not _HOST.fullmatch(plain.partition("/")[0]):
        return _HIDDEN  # a login without its host: user:password
    if parameter := re.search(r"[^/]*=", plain):
        return _path(plain[: parameter.start()]) + _HIDDEN
    return _path(plain) if plain == after else f"{_path(plain)}{after[len(plain)]}{_HIDDEN}"


def _path(plain: str) -> str:
    """Hide the parts of a path that look like a login or a token, or follow a word for one."""
    host, *parts = plain.split("/")
    before = ["", *parts]
    return "/".join(
        [host]
        + [
            _HIDDEN if part and (_is_token(part) or _TOKEN_FOLLOWS.search(previous)) else part
            for previous, part in zip(before, parts, strict=False)
        ]
    )


def _is_token(part: str) -> bool:
    """Whether a part of a path looks random: a long run of mixed letters and digits, or a UUID."""
    part = unquote(part)
    if PLACE.search(part):
        return False
    if ":" in part or _UUID.search(part):  # user:password is a login in some cameras' addresses
        return True
    if len(part) >= LONG_PART and all(
        re.search(kind, part) for kind in ("[a-z]", "[A-Z]", "[0-9]")
    ):
        return True
    return any(_is_random(run) for run in re.findall(r"[A-Za-z0-9+~]{16,}", part))


def _is_random(run: str) -> bool:
    if re.search("[0-9]", run) or len(run) >= LONG_RUN:
        return True
    return len(run) >= LONG_PART and run.lower() != run != run.upper()


def _in_url(secret: str) -> str:
    """Percent-encode the first line of a secret."""
    return quote(os.fsencode(secret.partition("\n")[0].removesuffix("\r")), safe=":")
