"""Asks an RTSP server before libav does: libav follows its redirects to any host.

libav has no setting against that. A server that answers this question, and then sends libav
elsewhere, is not stopped: docs/cameras.md names the network policy against such cameras.
"""

import http.client
import io
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

from pipeline.errors import CameraLostError, LossReason
from pipeline.media.opening.access import Access
from pipeline.media.opening.http_session import encrypt
from pipeline.media.opening.logins import authorization
from pipeline.media.opening.media_url import MediaUrl
from pipeline.media.opening.patience import Patience, TimedSocket
from pipeline.media.refusals import REDIRECTS_ALLOW

MAX_BODY_BYTES = 1 << 20
_STATUS = re.compile(rb"RTSP/\d\.\d (\d{3})")


@contextmanager
def checked_rtsp(place: MediaUrl, access: Access, patience: Patience) -> Iterator[None]:
    """Ask for the stream's description. Raises `CameraLostError` for a redirect to another host.

    Also raises it for a certificate that is not trusted, and `OSError` or `TimeoutError` if the
    server cannot be reached. Other answers are left to libav. The connection stays open within the
    context: GStreamer's server ends a stream with its last viewer, and answers 503 meanwhile.
    """
    if access.redirects and place.scheme == "rtsp":
        yield
        return
    with closing(TimedSocket(place.host, place.port, patience)) as line:
        if place.scheme == "rtsps":
            encrypt(line, place, access)
        _Dialogue(place, access, line).run()
        yield


def check_certificate(place: MediaUrl, access: Access, patience: Patience) -> None:
    """Begin TLS, to explain what is wrong with a certificate. Raises as `checked_rtsp` does."""
    with closing(TimedSocket(place.host, place.port, patience)) as line:
        encrypt(line, place, access)


class _Dialogue:
    def __init__(self, place: MediaUrl, access: Access, line: TimedSocket) -> None:
        self._place = place
        self._access = access
        self._line = line
        self._replies = line.makefile()
        self._number = 0

    def run(self) -> None:
        for method in ("OPTIONS", "DESCRIBE"):
            status, asked = self._ask(method, "")
            login = self._place.login
            if status == 401 and login is not None:
                known = authorization(asked, login, method=method, target=self._place.url)
                if known is not None:
                    status, _ = self._ask(method, f"Authorization: {known}\r\n")
            if status != 200:
                return

    def _ask(self, method: str, known: str) -> tuple[int, list[str]]:
        """Return the status, and what is asked for a login; 0 for what is no reply."""
        self._number += 1
        self._line.send(
            f"{method} {self._place.url} RTSP/1.0\r\nCSeq: {self._number}\r\n"
            f"User-Agent: longtake\r\nAccept: application/sdp\r\n{known}\r\n".encode()
        )
        found = _STATUS.match(self._replies.readline(1024))
        if found is None:
            return 0, []
        try:
            headers = http.client.parse_headers(self._replies)
        except http.client.HTTPException:
            return 0, []
        status = int(found[1])
        if 300 <= status < 400:
            self._permit(headers.get("Location", ""))
        _skip(self._replies, headers.get("Content-Length", ""))
        return status, headers.get_all("WWW-Authenticate", [])

    def _permit(self, location: str) -> None:
        if self._access.redirects:
            return
        try:
            place = MediaUrl.of(location.strip())
        except CameraLostError:
            place = None
        if place is not None and place.origin == self._place.origin:
            return
        where = "another address" if place is None else f"{place.shown}, another host"
        words = f"it refers to {where}; {REDIRECTS_ALLOW}"
        raise CameraLostError(LossReason.REFUSED, words)


def _skip(replies: io.BufferedReader, length: str) -> None:
    if length.strip().isdecimal():
        replies.read(min(int(length), MAX_BODY_BYTES))
