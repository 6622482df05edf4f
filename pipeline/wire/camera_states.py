"""Writes and reads the states of cameras. The only place for the format of the cameras topic.

The key of a record is the stream id, the value one JSON object, or null when the camera was removed
from its process' configuration. The topic is compacted: it holds the newest state of each camera.
A reader ignores fields that it does not know, and accepts words of states that it does not know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.records import Destination, Outgoing, Record
from pipeline.text.printable import printable
from pipeline.wire.frames import LAST_US, is_stream_id
from pipeline.wire.json_text import Fields, UnreadableError, read_object, write_object
from pipeline.wire.predictions import EPOCH, timestamp

SCHEMA = 1
GONE = "gone"  # the last state that a process writes: it ended, or the camera was removed
STATE_BYTES = 8192  # of a value; what is larger is unreadable
REASON_CHARACTERS = 400
PROCESS_CHARACTERS = 100
TIME_CHARACTERS = 24
LONGEST_INTERVAL_MS = 86_400_000
MISSED_HEARTBEATS = 3  # a state that was not repeated for so many intervals is out of date

LOST = ("overflowed", "expired", "oversized")  # fates of frames that never came into the log
LAST_MS = LAST_US // 1000  # of the year 9999
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_MS = timedelta(milliseconds=1)
_WORD = re.compile(r"[a-z][a-z_]{0,31}")


@dataclass(frozen=True, slots=True)
class CameraState:
    """The state of one camera as its process wrote it at `at_ms`. Times are milliseconds from 1970.

    `state` is a word of `longtake_camera_state`, or `gone`; `since_ms` is when it began;
    `reason` says why the camera is not live. `every_ms` is how often the process repeats the state.
    `process` names the process, which began at `started_ms`: `fates` counts the camera's pictures
    since then. `newest_ms` is the capture time of its newest frame, None before the first.
    """

    stream: str
    state: str
    since_ms: int
    reason: str
    at_ms: int
    every_ms: int
    process: str
    started_ms: int
    newest_ms: int | None
    fates: Mapping[str, int]

    def content(self) -> dict[str, object]:
        """Return the JSON object. Text is escaped and cut, so that any reader accepts it."""
        return {
            "schema": SCHEMA,
            "stream": self.stream,
            "state": self.state,
            "since": _text(self.since_ms),
            "reason": printable(self.reason)[:REASON_CHARACTERS],
            "published": self.fates.get("published", 0),
            "lost": sum(self.fates.get(fate, 0) for fate in LOST),
            "at": _text(self.at_ms),
            "every_ms": self.every_ms,
            "process": printable(self.process)[:PROCESS_CHARACTERS],
            "started": _text(self.started_ms),
            "newest": None if self.newest_ms is None else _text(self.newest_ms),
            "fates": dict(self.fates),
        }

    def write(self) -> Outgoing:
        """Return the state as a record."""
        value = write_object(self.content())
        return Outgoing(Destination.CAMERAS, None, self.stream.encode(), value)

    @classmethod
    def read(cls, record: Record) -> "CameraState | None":
        """Read a record of the cameras topic; None if the camera was removed (a null value).

        Raises `UnreadableError` for anything else: any program may have written the record.
        """
        stream = (record.key or b"").decode(errors="replace")
        if not is_stream_id(stream):
            raise UnreadableError("its key is no stream id")
        if record.value is None:
            return None
        fields = Fields(read_object(record.value, most_bytes=STATE_BYTES))
        fields.schema(SCHEMA)
        if fields.text("stream", len(stream)) != stream:
            raise UnreadableError("its key is not the stream that it names")
        newest = fields.text_or_none("newest", TIME_CHARACTERS)
        return cls(
            stream=stream,
            state=fields.matching("state", _WORD, "a word of at most 32 small letters"),
            since_ms=_ms(fields.text("since", TIME_CHARACTERS)),
            reason=fields.text("reason", REASON_CHARACTERS),
            at_ms=_ms(fields.text("at", TIME_CHARACTERS)),
            every_ms=fields.integer("every_ms", 1, LONGEST_INTERVAL_MS),
            process=fields.text("process", PROCESS_CHARACTERS),
            started_ms=_ms(fields.text("started", TIME_CHARACTERS)),
            newest_ms=None if newest is None else _ms(newest),
            fates=fields.integers("fates"),
        )

    def is_current(self, *, logged_ms: int, now_ms: int) -> bool:
        """Whether the state still holds, as far as can be known; otherwise its process is gone.

        `logged_ms` is the record's timestamp: the time of the log, not of the process.
        """
        return self.state == GONE or now_ms - logged_ms <= MISSED_HEARTBEATS * self.every_ms


def removal(stream: str) -> Outgoing:
    """Return the record that removes a camera from the topic."""
    return Outgoing(Destination.CAMERAS, None, stream.encode(), None)


def _text(ms: int) -> str:
    return timestamp(ms * 1000)


def _ms(text: str) -> int:
    try:
        if _TIME.fullmatch(text):
            return (datetime.fromisoformat(text) - EPOCH) // _MS
    except ValueError:
        pass  # such as the 30th of February
    raise UnreadableError("a time of it is not one such as 2023-11-14T22:13:20.000Z")
