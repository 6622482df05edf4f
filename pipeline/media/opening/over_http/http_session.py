"""Fetches over HTTP and HTTPS for libav, which opens no connection itself.

So one place decides where a camera's server can send us, for redirects and for each part of a
playlist (HLS), and checks every certificate. libav would follow redirects to any host, and verifies
no certificate of a segment.
"""

import http.client
import os
import re
from http import HTTPStatus
from urllib.parse import urljoin

from pipeline.errors import CameraLostError, LossReason
from pipeline.media.opening.access import Access
from pipeline.media.opening.camera_certificate import encrypt
from pipeline.media.opening.media_url import PORTS, MediaUrl, printable
from pipeline.media.opening.over_http.http_login import authorization
from pipeline.media.opening.patience import Patience, TimedSocket
from pipeline.media.refusals import (
    LOGIN_REFUSED,
    NOT_FOUND,
    REDIRECTS_ALLOW,
)

MAX_REDIRECTS = 5
_MOVED = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_CONDITIONS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
_PLAIN = re.compile(r"[\x20-\x7e]{1,200}")
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class NotThereError(CameraLostError):
    """Fate: skip. The server answers that what was requested is not there, or not now."""


class HttpSession:
    """Fetches from one server; from others only if `access` allows redirects.

    The login of the address is sent to its own server alone. All waiting is limited by `patience`.
    """

    def __init__(self, place: MediaUrl, access: Access, patience: Patience) -> None:
        self._place = place
        self._access = access
        self._patience = patience

    def fetch(
        self, url: str, *, bytes_from: int = 0, bytes_until: int = 0, unless: str = ""
    ) -> "HttpAnswer":
        """Request a URL, or the part of it from a byte until before another (0: to the end).

        `unless` are header lines of `HttpAnswer.unless`: it may be answered that nothing changed.
        Raises `CameraLostError` if the answer is none, `TimeoutError`, and `OSError` if the server
        cannot be reached.
        """
        wanted = _range(bytes_from, bytes_until)
        for _ in range(MAX_REDIRECTS + 1):
            place = self._permitted(url)
            answer = self._asked(place, wanted + unless)
            if answer.status not in _MOVED:
                if unless and answer.unchanged:
                    return answer
                return answer.require(partial=wanted != "")
            answer.close()
            url = _joined(place.url, answer.header("Location"))
        words = f"more than {MAX_REDIRECTS} redirects, one after the other"
        raise CameraLostError(LossReason.REFUSED, words)

    def _permitted(self, url: str) -> MediaUrl:
        kind = url.partition(":")[0].lower()
        if kind not in ("http", "https"):
            words = f"it refers to an address of the kind {printable(kind)}:, never followed"
            raise CameraLostError(LossReason.REFUSED, words)
        place, here = MediaUrl.of(url), self._place
        if self._is_own(place):
            return place
        if here.scheme == "https" and place.scheme == "http":
            words = f"it refers from https to {place.shown}, without encryption: never followed"
        elif self._access.redirects:
            return place
        else:
            words = f"it refers to {place.shown}, another host; {REDIRECTS_ALLOW}"
        raise CameraLostError(LossReason.REFUSED, words)

    def _is_own(self, place: MediaUrl) -> bool:
        """Whether it is the camera's own server, perhaps with encryption."""
        return place.origin in (self._place.origin, ("https", self._place.host, PORTS["https"]))

    def _asked(self, place: MediaUrl, wanted: str) -> "HttpAnswer":
        answer = self._request(place, wanted, "")
        login = self._place.login
        if answer.status != HTTPStatus.UNAUTHORIZED or login is None or not self._is_own(place):
            return answer
        asked = answer.headers("WWW-Authenticate")
        known = authorization(asked, login, method="GET", target=place.target)
        if known is None:
            return answer
        answer.close()
        return self._request(place, wanted, f"Authorization: {known}\r\n")

    def _request(self, place: MediaUrl, wanted: str, known: str) -> "HttpAnswer":
        line = TimedSocket(place.host, place.port, self._patience)
        try:
            if place.scheme == "https":
                encrypt(line, place, self._access)
            head = (
                f"GET {place.target} HTTP/1.1\r\nHost: {place.netloc}\r\nUser-Agent: longtake\r\n"
                f"Accept: */*\r\nConnection: close\r\n{wanted}{known}\r\n"
            )
            line.send(os.fsencode(head))
            return HttpAnswer(line, place.url)
        except BaseException:
            line.close()
            raise


class HttpAnswer:
    """The answer to one request; its body is read as it arrives.

    `url` is the one that was requested last, after all redirects.
    """

    def __init__(self, line: TimedSocket, url: str) -> None:
        self.url = url
        self._line = line
        self._failed = False
        self._response = http.client.HTTPResponse(line)  # type: ignore[arg-type]  # see `Readable`
        try:
            self._response.begin()
        except http.client.RemoteDisconnected:
            words = "it closed the connection without an answer"
            raise CameraLostError(LossReason.UNREACHABLE, words) from None
        except http.client.HTTPException:
            raise CameraLostError(LossReason.REFUSED, "its answer is not HTTP") from None

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        return self._response.headers.get(name, "")

    def headers(self, name: str) -> list[str]:
        """Return all headers of this name."""
        return self._response.headers.get_all(name, [])

    @property
    def unchanged(self) -> bool:
        """Whether the server answers that nothing has changed since it was asked before."""
        return self.status == HTTPStatus.NOT_MODIFIED

    @property
    def unless(self) -> str:
        """The header lines that ask for this URL unless its content is still the same."""
        return "".join(
            f"{asks}: {value}\r\n"
            for asks, has in _CONDITIONS.items()
            if _PLAIN.fullmatch(value := self.header(has))
        )

    def require(self, *, partial: bool) -> "HttpAnswer":
        """Return it if it has what was requested. Raises `CameraLostError`, and closes it."""
        good = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
        if self.status == good:
            return self
        self.close()
        if self.status in _REFUSED:
            raise CameraLostError(LossReason.REFUSED, LOGIN_REFUSED)
        if self.status == HTTPStatus.NOT_FOUND:
            raise NotThereError(LossReason.REFUSED, NOT_FOUND)
        busy = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        reason = LossReason.UNREACHABLE if busy else LossReason.REFUSED
        lost = NotThereError if busy or self.status == HTTPStatus.GONE else CameraLostError
        raise lost(reason, f"the camera answers with HTTP status {self.status}")

    def read(self, most_bytes: int) -> bytes:
        """Wait for bytes of the body; none: it is over, or has failed before: libav reads on."""
        if self._failed:
            return b""
        try:
            return self._response.read1(most_bytes)
        except http.client.HTTPException:
            return b""  # cut off in the middle of a chunk
        except OSError:
            self._failed = True
            raise

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._line.close()


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise CameraLostError(LossReason.REFUSED, "it refers to an address that is none") from None


def _range(bytes_from: int, bytes_until: int) -> str:
    if not bytes_from and not bytes_until:
        return ""
    return f"Range: bytes={bytes_from}-{bytes_until - 1 if bytes_until else ''}\r\n"
