"""MJPEG over HTTP in the form that libav reads: in clean parts, whatever the server sends."""

import re
import time
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.opening.over_http.http_file import HttpFile
from pipeline.media.opening.over_http.http_session import HttpSession
from pipeline.media.opening.over_http.mjpeg import DAMAGED_JPEG, JpegFinder
from pipeline.media.opening.patience import Patience

READ_BYTES = 64 << 10
MAX_BOUNDARY_CHARACTERS = 200  # a longer one is ignored
POLLS_A_WAIT = 2  # a snapshot is requested at least so often within the time that a stall needs

_BOUNDARY = re.compile(r"boundary\s*=\s*(?:\"([^\"]*)\"|([^\s;]+))", re.IGNORECASE)
_PART = b"--longtake\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"


@dataclass(frozen=True, slots=True)
class Polling:
    """How often the URL of a snapshot is requested; `stall_s` limits each wait for a picture."""

    rate_hz: float
    stall_s: float
    clock: Clock

    @property
    def interval_s(self) -> float:
        """The time from one request to the next."""
        return min(1 / self.rate_hz, self.stall_s / POLLS_A_WAIT)


class MjpegFile:
    """The JPEGs of an HTTP answer, byte for byte, each in a part of libav's format `mpjpeg`.

    An answer that ends after one JPEG is a snapshot: with `polling` it is requested again and
    again. If the server says that it has not changed, the same JPEG follows once more, as it would
    if the server had sent it again. A request that fails is repeated at the next turn, until the
    wait for a picture is over.
    """

    def __init__(
        self,
        file: HttpFile,
        session: HttpSession,
        url: str,
        *,
        patience: Patience,
        polling: Polling | None,
    ) -> None:
        self.name = file.name
        self._file = file
        self._session, self._url = session, url
        self._patience, self._polling = patience, polling
        self._asked_s = 0.0 if polling is None else polling.clock.monotonic()
        self._finder = JpegFinder(_boundary(file.kind))
        self._unless = ""
        self._newest = b""
        self._in_answer = 0  # JPEGs of the current answer
        self._is_snapshot = False
        self._ready = bytearray()

    def read(self, most_bytes: int) -> bytes:
        """Wait for bytes; none: the end. Raises `CameraLostError` if there was no JPEG at all."""
        while not self._ready:
            content = self._file.read(READ_BYTES)
            self._add(self._finder.feed(content) if content else self._finder.end())
            if not content and not self._ready and not self._request_again():
                return b""
        ready = bytes(self._ready[:most_bytes])
        del self._ready[:most_bytes]
        return ready

    def close(self) -> None:
        """Close the connection."""
        self._file.close()

    def _add(self, jpegs: list[bytes]) -> None:
        for jpeg in jpegs:
            self._ready += _PART % (len(jpeg), jpeg)
            if jpeg != DAMAGED_JPEG:
                self._newest = jpeg
                self._in_answer += 1

    def _request_again(self) -> bool:
        """Request the next snapshot; returns False if this was none, but the end of a stream."""
        if not self._newest:
            raise CameraLostError(LossReason.REFUSED, "its answer holds no whole JPEG")
        self._is_snapshot = self._in_answer == 1 or (self._is_snapshot and not self._in_answer)
        if self._polling is None or not self._is_snapshot:
            return False
        self._unless = self._file.unless or (self._unless if self._file.unchanged else "")
        self._file.close()
        self._file = self._next(self._polling)
        self._finder, self._in_answer = JpegFinder(_boundary(self._file.kind)), 0
        if self._file.unchanged:
            self._add([self._newest])
        return True

    def _next(self, polling: Polling) -> HttpFile:
        while True:
            wait_s = self._asked_s + polling.interval_s - polling.clock.monotonic()
            time.sleep(max(0.0, min(wait_s, self._patience.left_s)))
            self._asked_s = polling.clock.monotonic()
            try:
                return HttpFile(self._session, self._url, unless=self._unless)
            except TimeoutError:
                raise
            except OSError:
                continue  # a small server that is busy at the moment, perhaps
            except CameraLostError as exc:
                if exc.reason is LossReason.REFUSED:
                    raise


def _boundary(kind: str) -> bytes:
    found = _BOUNDARY.search(kind)
    name = (found[1] or found[2] or "") if found else ""
    return name.encode("latin-1", "replace") if len(name) <= MAX_BOUNDARY_CHARACTERS else b""
