"""Finds the JPEGs in an HTTP answer of a camera, whatever stands between them.

Servers of MJPEG break every rule of multipart: boundaries are doubled, missing or others than
announced, lengths and types are wrong or absent. So a JPEG is found by its own markers, from SOI to
EOI, and passed on byte for byte. A part's length is used only where bytes at its end confirm it.
"""

import re

from pipeline.errors import CameraLostError, LossReason

MAX_JPEG_BYTES = 9 << 20
"""The largest JPEG, and the most other bytes between two: topics of frames take no larger one."""
MAX_HEADER_BYTES = 8 << 10  # before a JPEG, in which its Content-Length is looked for
MAX_MARKERS = 10_000  # of one JPEG
DAMAGED_JPEG = b"\xff\xd8"
"""Stands for a JPEG that was cut off or is broken: no decoder accepts it, so it is counted."""

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_START = re.compile(rb"\xff\xd8\xff")
# A broken JPEG may hold a preview in its metadata. So the next one begins where one can begin: at
# the start of a line, or after an EOI.
_START_AFTER_DAMAGE = re.compile(rb"(?:\n|\xff\xd9[\x00\r\n ]*)(?=\xff\xd8\xff)")
_IN_SCAN = re.compile(rb"\xff[\xc4\xd8-\xdd\xe0-\xef\xfe]")
_LENGTH = re.compile(rb"^[ \t]*content-length[ \t]*[:=][ \t]*\"?(\d{1,9})\b.*$", re.I | re.M)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LINE_BYTES = 16  # of a boundary's line, beside its name: line breaks and dashes
_SHORT_NAME = 4  # a boundary's name with fewer bytes can be in a JPEG by chance


class JpegFinder:
    """Finds the JPEGs of one HTTP answer. `boundary` is the one that the answer announces."""

    def __init__(self, boundary: bytes = b"") -> None:
        self._held = bytearray()  # begins with the JPEG that is being walked, if there is one
        self._walk: _JpegWalk | None = None
        self._declared_bytes = 0  # of the part, from the start of its JPEG; 0: not known
        self._rest_bytes = 0  # of the part behind its JPEG, if its length is right
        self._skipped_bytes = 0  # since the last JPEG
        self._after_damage = False
        name = boundary.strip(b"-")
        named = rb"|[\r\n]*-*" + re.escape(name) if len(name) >= _SHORT_NAME else b""
        self._boundary = re.compile(rb"[\r\n]+--" + named)
        self._longest_boundary = _LINE_BYTES + len(boundary)

    def feed(self, content: bytes) -> list[bytes]:
        """Take the next bytes; returns the JPEGs that end in them, `DAMAGED_JPEG` for broken ones.

        Raises `CameraLostError` if a JPEG, or what stands between two, is too large.
        """
        self._held += content
        return self._found(over=False)

    def end(self) -> list[bytes]:
        """Return the JPEGs whose end was in doubt when the answer ended."""
        return self._found(over=True)

    def _found(self, *, over: bool) -> list[bytes]:
        found = list[bytes]()
        while True:
            if self._walk is None and not self._begin(over=over):
                break
            jpeg = self._step()
            if jpeg is None:
                break
            found.append(jpeg)
        self._check_sizes()
        return found

    def _begin(self, *, over: bool) -> bool:
        """Find the start of the next JPEG; returns whether it is there."""
        start = (_START_AFTER_DAMAGE if self._after_damage else _START).search(self._held)
        at = start.end() if start and self._after_damage else start.start() if start else -1
        if at < 0:
            self._skip(len(self._held) - MAX_HEADER_BYTES)
            return False
        if at < self._rest_bytes and not self._boundary.search(self._held, 0, at):
            if not over and len(self._held) < self._rest_bytes + self._longest_boundary:
                return False  # either a second picture of the same part, or its length is wrong
            ends = self._boundary.match(self._held, self._rest_bytes)
            if ends or (over and self._ends_with_part()):
                self._skip(self._rest_bytes)
                return self._begin(over=over)
        self._declared_bytes = _declared(bytes(self._held[:at][-MAX_HEADER_BYTES:]))
        del self._held[:at]
        self._walk = _JpegWalk()
        self._rest_bytes = 0
        return True

    def _ends_with_part(self) -> bool:
        behind = self._held[self._rest_bytes :]
        return len(self._held) >= self._rest_bytes and not behind.strip()

    def _skip(self, count: int) -> None:
        if count > 0:
            del self._held[:count]
            self._skipped_bytes += count
            self._rest_bytes = max(0, self._rest_bytes - count)

    def _step(self) -> bytes | None:
        """Walk on; returns the JPEG if it has ended."""
        if self._walk is None:
            return None
        ended = self._walk.go_on(self._held)
        part = self._declared_bytes
        if (
            part
            and (not ended or self._walk.at > part)
            and self._boundary.match(self._held, part, part + self._longest_boundary)
        ):
            self._walk = None
            self._skip(part)
            return DAMAGED_JPEG
        if not ended:
            return None
        at, whole = self._walk.at, self._walk.whole
        self._after_damage = self._walk.lost
        self._walk = None
        if not whole:
            self._skip(at)
            return DAMAGED_JPEG
        jpeg = bytes(self._held[:at])
        del self._held[:at]
        self._skipped_bytes = 0
        rest_bytes = part - at
        self._rest_bytes = rest_bytes if 0 < rest_bytes <= MAX_JPEG_BYTES else 0
        return jpeg

    def _check_sizes(self) -> None:
        most = f"{MAX_JPEG_BYTES >> 20} MiB"
        if self._walk is not None and len(self._held) > MAX_JPEG_BYTES:
            raise CameraLostError(LossReason.REFUSED, f"sends a JPEG of more than {most}")
        if self._skipped_bytes > MAX_JPEG_BYTES:
            raise CameraLostError(LossReason.REFUSED, f"sends {most} without a whole JPEG in them")


class _JpegWalk:
    """Walks one JPEG, which begins with the buffer, marker by marker.

    When it has ended, it is `whole`, and `at` is its end; or it is not, and `at` is where to look
    for the next one. `lost`: the markers made no sense.
    """

    def __init__(self) -> None:
        self.at = 2
        self.whole = self.lost = False
        self._segment_at = 0  # of the last segment
        self._in_scan = False
        self._markers = 0

    def go_on(self, held: bytearray) -> bool:
        """Walk as far as there are bytes; returns whether the JPEG has ended."""
        while True:
            if self._in_scan:
                found = _IN_SCAN.search(held, self.at)
                self.at = max(self.at, len(held) - 1) if found is None else found.start()
            if len(held) < self.at + 4:
                return held[self.at : self.at + 2] == b"\xff\xd9" and self._end(held)
            self._markers += 1
            if held[self.at] != 0xFF or self._markers > MAX_MARKERS:
                return self._lose()
            marker = held[self.at + 1]
            if marker == 0xFF:
                self.at += 1  # a fill byte
                continue
            if marker in (_SOI, _EOI):
                if self._end(held):
                    return True
                continue
            if not self._in_scan and (marker < 0xC0 or 0xD0 <= marker < _EOI):
                return self._lose()
            if (ended := self._segment(held, marker)) is not None:
                return ended

    def _end(self, held: bytearray) -> bool:
        """Look at a SOI or EOI; returns whether the JPEG has ended."""
        if not self._in_scan:
            return self._lose()
        if held[self.at + 1] == _EOI:
            self.whole = True
            self.at += 2
            return True
        if held[self.at + 2] == 0xFF:
            return True  # another one begins: this one was cut off
        self.at += 2  # a damaged scan
        return False

    def _segment(self, held: bytearray, marker: int) -> bool | None:
        """Step over a segment; returns whether the JPEG has ended, None: go on."""
        length = int.from_bytes(held[self.at + 2 : self.at + 4])
        end = self.at + 2 + length
        if self._in_scan:  # a damaged scan can look like a segment that reaches into the next JPEG
            inside = _START.search(held, self.at + 4, max(self.at + 4, end))
            if inside is not None:
                self.at = inside.start()
                return True
        if length < 2:
            if not self._in_scan:
                return self._lose()
            end = self.at + 2
        if len(held) < end:
            return False
        self._in_scan = self._in_scan or marker == _SOS
        self._segment_at, self.at = self.at, end
        return None

    def _lose(self) -> bool:
        self.lost, self.at = True, self._segment_at + 2
        return True


def _declared(text: bytes) -> int:
    """Return the length of a part, counted from the end of this text; 0: it has none."""
    found = list(_LENGTH.finditer(text))
    if not found:
        return 0
    body = _BLANK_LINE.search(text, found[-1].end() - 1)
    behind = len(text) - body.end() if body is not None else 0
    return max(0, int(found[-1][1]) - behind)
