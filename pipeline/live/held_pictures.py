"""Holds the newest record of each stream that a picture can be made from, and makes small JPEGs.

Nothing that a producer wrote reaches a browser: every picture is decoded within the limits of
`PictureReader`, made smaller and encoded again.
"""

import threading
from dataclasses import dataclass

from pipeline.errors import LongtakeError
from pipeline.media.picture_reader import PictureReader
from pipeline.media.sources import encode_jpeg
from pipeline.records import Frame, Record

HELD_BYTES = 96 << 20  # of all records together
MADE_BYTES = 16 << 20  # of all small pictures together
SIZES = {"tile": 400, "page": 1000}  # the longer side, in pixels
QUALITY = 70


@dataclass(frozen=True, slots=True)
class HeldPicture:
    """A record with a picture, and when it came, in seconds of the reader's monotonic clock."""

    record: Record
    came_s: float
    keyframe: bool

    @property
    def id(self) -> str:
        """A name of this picture among those of its stream."""
        return f"{self.record.partition}-{self.record.offset}"


class HeldPictures:
    """At most HELD_BYTES of records; the one that came first makes room. Any thread."""

    def __init__(self, *, max_frame_bytes: int, held_bytes: int = HELD_BYTES) -> None:
        self._max_frame_bytes, self._held_bytes = max_frame_bytes, held_bytes
        self._held: dict[str, HeldPicture] = {}  # the one that came first is first
        self._made: dict[tuple[str, str, str], bytes] = {}
        self._lock = threading.Lock()
        self._making = threading.Lock()  # one picture at a time: a page must not take all cores
        self.bytes = 0

    def keep(self, frame: Frame, record: Record, *, now_s: float) -> None:
        """Keep a record that a picture can be made from alone: no unit but a keyframe."""
        if frame.unit and not frame.keyframe:
            return
        with self._lock:
            self._drop(frame.stream)
            self._held[frame.stream] = HeldPicture(record, now_s, frame.unit)
            self.bytes += record.size
            while self.bytes > self._held_bytes:
                self._drop(next(iter(self._held)))

    def forget(self, stream: str) -> None:
        """Drop the record of a stream."""
        with self._lock:
            self._drop(stream)

    def newest(self, stream: str) -> HeldPicture | None:
        """Return the newest picture of a stream, if one is held."""
        with self._lock:
            return self._held.get(stream)

    def jpeg(self, stream: str, size: str) -> bytes | None:
        """Return the newest picture as a JPEG of a size of SIZES, None if there is none."""
        with self._making:
            held = self.newest(stream)
            if held is None:
                return None
            place = stream, held.id, size
            if place not in self._made:
                self._made = {
                    known: one for known, one in self._made.items() if known[::2] != place[::2]
                }
                self._made[place] = self._small(held.record, SIZES[size])
                while sum(map(len, self._made.values())) > MADE_BYTES:
                    del self._made[next(iter(self._made))]
            return self._made.get(place) or None

    def _small(self, record: Record, longer_side: int) -> bytes:
        """Return a picture as JPEG; nothing where it does not decode."""
        found = PictureReader(most_decoders=1, max_bytes=self._max_frame_bytes).follow(record)
        if found.picture is None:
            return b""
        width, height = found.picture.width, found.picture.height
        scale = min(1.0, longer_side / max(width, height))
        small = found.picture.reformat(
            width=max(2, round(width * scale)), height=max(2, round(height * scale))
        )
        try:
            return encode_jpeg(small, quality=QUALITY)
        except (LongtakeError, ValueError):
            return b""

    def _drop(self, stream: str) -> None:
        held = self._held.pop(stream, None)
        if held is not None:
            self.bytes -= held.record.size
