"""A file on a web server in the form that libav reads: bytes as they arrive, and seeks."""

import os
import re
from urllib.parse import urlsplit

from pipeline.errors import CameraLostError, LossReason
from pipeline.media.opening.over_http.http_session import HttpAnswer, HttpSession

MAX_PLAYLIST_BYTES = 4 << 20
_PLAYLIST_KINDS = ("mpegurl", "m3u")
_PLAYLIST_NAMES = (".m3u8", ".m3u", ".hls")
_PLAYLIST_START = b"#extm3u"
_MJPEG_KINDS = ("multipart/", "image/jpeg", "image/jpg", "image/pjpeg", "motion-jpeg", "mjpeg")
_MJPEG_STARTS = (b"\xff\xd8\xff", b"--", b"content-type:", b"content-length:")  # of a part
_COUNT = re.compile(r"[0-9]{1,18}")  # of a file that libav can seek in
_LOOKED_AT_BYTES = 16  # at the start of a body: enough for the longest of these
# A body of so few bytes is read as a whole: libav then finds the index at the end of an MP4, though
# the server supports no seeking. In pieces it would be found or not, as the pieces happen to arrive
_WHOLE_BYTES = 32 << 10


class HttpFile:
    """A body that libav reads. `name` is the URL without its login: relative parts start there.

    Where the server supports it, libav can seek: an MP4 may have its index at the end.
    """

    def __init__(
        self,
        session: HttpSession,
        url: str,
        *,
        first: int = 0,
        until: int = 0,
        unless: str = "",
    ) -> None:
        answer = session.fetch(url, bytes_from=first, bytes_until=until, unless=unless)
        self.name = answer.url
        self._session = session
        self._first, self._until = first, until
        self._answer: HttpAnswer | None = answer
        self._at = self._position = 0
        length = _count(answer.header("Content-Length"))
        ranges = answer.header("Accept-Ranges").lower() == "bytes"
        self._length = length if ranges and not until else None
        self.kind = answer.header("Content-Type")
        self.unchanged, self.unless = answer.unchanged, answer.unless
        self._ahead = b""  # read from the answer, and not yet by libav
        try:
            whole = length if length is not None and length <= _WHOLE_BYTES else None
            self._look(_LOOKED_AT_BYTES if whole is None else whole)
        except BaseException:
            self.close()
            raise

    @property
    def is_playlist(self) -> bool:
        """Whether it is a list of segments, by its start, its content type or its name."""
        if self._start.startswith(_PLAYLIST_START):
            return True
        path, kind = urlsplit(self.name).path.lower(), self.kind.lower()
        return any(one in kind for one in _PLAYLIST_KINDS) or path.endswith(_PLAYLIST_NAMES)

    @property
    def is_mjpeg(self) -> bool:
        """Whether it is one JPEG or several, in parts or not, by its start or its content type."""
        if self.is_playlist:
            return False
        kind = self.kind.lower()
        return self._start.startswith(_MJPEG_STARTS) or any(one in kind for one in _MJPEG_KINDS)

    def read(self, most_bytes: int) -> bytes:
        """Wait for bytes; none: the end."""
        if self._answer is None or self._at != self._position:
            self._reopen()
        content, self._ahead = self._ahead[:most_bytes], self._ahead[most_bytes:]
        if len(content) < most_bytes and self._answer is not None:
            content += self._answer.read(most_bytes - len(content))
        self._at += len(content)
        self._position = self._at
        return content

    def seekable(self) -> bool:
        """Whether `seek` works."""
        return self._length is not None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read next from this place: nothing is requested before the next `read`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length or 0}
        self._position = max(0, start[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the place of the next `read`."""
        return self._position

    def close(self) -> None:
        """Close the connection."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _look(self, count: int) -> None:
        """Read the first bytes ahead: the kind of the content is in them. Read all of a playlist.

        From one that is too long libav must get nothing, or it would try each of its segments.
        """
        self._read_ahead(count)
        self._start = self._ahead[:_LOOKED_AT_BYTES].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
        if self.is_playlist:
            self._read_ahead(MAX_PLAYLIST_BYTES + 1)
            if len(self._ahead) > MAX_PLAYLIST_BYTES:
                words = f"its playlist has more than {MAX_PLAYLIST_BYTES >> 20} MiB"
                raise CameraLostError(LossReason.REFUSED, words)

    def _read_ahead(self, count: int) -> None:
        ahead = bytearray(self._ahead)
        while self._answer is not None and len(ahead) < count:
            content = self._answer.read(count - len(ahead))
            if not content:
                break
            ahead += content
        self._ahead = bytes(ahead)

    def _reopen(self) -> None:
        self.close()
        self._ahead = b""
        self._at = self._position
        if self._length is None or self._position < self._length:
            start = self._first + self._position
            self._answer = self._session.fetch(self.name, bytes_from=start, bytes_until=self._until)


def _count(text: str) -> int | None:
    """Return the length that a server declares; None if it declares none that a file can have."""
    return int(text) if _COUNT.fullmatch(text) else None
