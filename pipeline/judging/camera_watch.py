"""Follows the states of cameras as any consumer can: what changed, and which are out of date.

Records in, changes out. The caller reads the records from a log or a file, and knows the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.records import Record
from pipeline.wire.camera_states import LAST_MS, CameraState

MOST_CAMERAS = 100_000  # whose newest states one reader keeps, in some 60 MB
UNKNOWN = "unknown"  # no process repeats the camera's state
REMOVED = "removed"  # its process does not publish it any more


@dataclass(frozen=True, slots=True)
class CameraChange:
    """A camera's new state: a word of its process, `unknown` or `removed`.

    `since_ms` is when it began, in milliseconds from 1970, `logged_ms` the log's time of the record
    that says so. `written` is what the process wrote last; None for a camera that was removed.
    """

    stream: str
    state: str
    since_ms: int
    reason: str
    logged_ms: int
    written: CameraState | None


class CameraWatch:
    """Knows the newest state of each camera of one topic. Give it the records in the log's order.

    Above `most_cameras` the camera whose last record is furthest back is forgotten.
    """

    def __init__(self, *, most_cameras: int = MOST_CAMERAS) -> None:
        self._most_cameras = most_cameras
        self._newest: dict[str, CameraChange] = {}

    @property
    def newest(self) -> Mapping[str, CameraChange]:
        """The newest change of each camera that is known, by stream."""
        return self._newest

    def follow(self, record: Record) -> CameraChange | None:
        """Read the next record. Returns None if it says nothing new.

        Raises `UnreadableError` if it is no state of a camera; the next record can be read.
        """
        state, at_ms = CameraState.read(record), min(record.timestamp_ms, LAST_MS)
        if state is None:
            stream = (record.key or b"").decode()
            gone = self._newest.pop(stream, None)
            return gone and CameraChange(stream, REMOVED, at_ms, "", at_ms, None)
        return self._keep(state, at_ms)

    def _keep(self, state: CameraState, logged_ms: int) -> CameraChange | None:
        """Keep a state, last in the order of the cameras' records. Returns it if it is new."""
        found = CameraChange(
            state.stream, state.state, state.since_ms, state.reason, logged_ms, state
        )
        before = self._newest.pop(state.stream, None)
        self._newest[state.stream] = found
        if len(self._newest) > self._most_cameras:
            del self._newest[next(iter(self._newest))]
        return None if before is not None and _says(before) == _says(found) else found

    def overdue(self, now_ms: int) -> list[CameraChange]:
        """Return the cameras that are unknown from now on: their process does not repeat them.

        `now_ms` must be near the log's time: the clock of this machine has to be right.
        """
        found = [
            CameraChange(
                one.stream,
                UNKNOWN,
                one.logged_ms,
                f"no process has repeated its state for {(now_ms - one.logged_ms) // 1000} s; the"
                f" last was {one.state}",
                one.logged_ms,
                one.written,
            )
            for one in self._newest.values()
            if one.state != UNKNOWN
            and one.written is not None
            and not one.written.is_current(logged_ms=one.logged_ms, now_ms=now_ms)
        ]
        self._newest |= {one.stream: one for one in found}
        return found


def _says(change: CameraChange) -> tuple[str, int, str]:
    return change.state, change.since_ms, change.reason
