"""Where a URL leads: scheme, host and port, and the login in it."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.errors import CameraLostError, LossReason

MAX_HOST = 260
PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443}
_HOST = re.compile(r"[^\x00-\x20\x7f]+")
_IN_TARGET = "%/:=&?~+!$,;'@()*[]"


@dataclass(frozen=True, slots=True)
class UrlLogin:
    """A user and a password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MediaUrl:
    """A URL in its parts. `url` and `target` have no login in them."""

    scheme: str
    host: str
    port: int
    url: str = field(repr=False)
    target: str = field(repr=False)  # of a request: path and query
    login: UrlLogin | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> "MediaUrl":
        """Parse a URL. Raises `CameraLostError` if it has no host, or a port that is none."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")  # as `getaddrinfo` will do
        except ValueError:  # its text may contain the password
            host, port, parts = "", None, urlsplit("")
        scheme = parts.scheme
        if not _HOST.fullmatch(host) or (port is None and scheme not in PORTS):
            raise CameraLostError(
                LossReason.REFUSED,
                "the address has no host and port; are @ / : ? # in its password written as"
                " %40 %2F %3A %3F %23?",
            )
        port = PORTS[scheme] if port is None else port
        name = f"[{host}]" if ":" in host else host
        netloc = name if port == PORTS.get(scheme) else f"{name}:{port}"
        path = quote(os.fsencode(parts.path or "/"), safe=_IN_TARGET)
        query = quote(os.fsencode(parts.query), safe=_IN_TARGET)
        plain = urlunsplit((scheme, netloc, path, query, ""))
        login = None
        if parts.username is not None:
            login = UrlLogin(_decoded(parts.username), _decoded(parts.password or ""))
        return cls(scheme, host, port, plain, path + (query and f"?{query}"), login)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a redirect without permission must not change."""
        return self.scheme, self.host, self.port

    @property
    def netloc(self) -> str:
        """Host and port as in the URL."""
        return urlsplit(self.url).netloc

    @property
    def shown(self) -> str:
        """Where it leads, for people; a server may have written it, so only plain characters."""
        return f"{self.scheme}://{printable(self.netloc)}"


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def printable(text: str) -> str:
    """Replace everything but the plain characters of a host's name; cut at the length of one."""
    return re.sub(r"[^A-Za-z0-9.:[\]_-]", "?", text)[:MAX_HOST]
