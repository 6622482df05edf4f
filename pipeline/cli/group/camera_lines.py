"""Shows the states of cameras, for `longtake tail --cameras`: one line for each change."""

import json
import sys
from collections.abc import Sequence

from pipeline.cli.shared.output import write_json_line
from pipeline.judging.camera_watch import CameraChange, CameraWatch
from pipeline.records import Record
from pipeline.text.terminal import Terminal
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.predictions import timestamp


class CameraLines:
    """Reads records of the cameras topic, and shows what they change.

    Until `begin` nothing is shown: a compacted topic holds several states of a camera, and only the
    newest counts. `streams` are those to show; empty for all.
    """

    def __init__(self, streams: set[str], *, as_json: bool, out: Terminal, hints: Terminal) -> None:
        self._streams = streams
        self._as_json = as_json
        self._out, self._hints = out, hints
        self._watch = CameraWatch()
        self._begun = False

    def read(self, records: Sequence[Record]) -> None:
        """Follow records, and show the changes."""
        for record in records:
            try:
                change = self._watch.follow(record)
            except UnreadableError as exc:
                place = f"partition {record.partition} offset {record.offset}"
                self._hints.say(f"{place}: this is no state of a camera: {exc}")
                continue
            if change is not None and self._begun:
                self._show(change)
        sys.stdout.flush()

    def begin(self, *, now_ms: int) -> None:
        """Show the newest state of each camera, in the order of their names."""
        self._watch.overdue(now_ms)
        self._begun = True
        for _, change in sorted(self._watch.newest.items()):
            self._show(change)
        sys.stdout.flush()

    def judge(self, *, now_ms: int) -> None:
        """Show the cameras that are unknown from now on."""
        for change in self._watch.overdue(now_ms):
            self._show(change)
        sys.stdout.flush()

    def _show(self, change: CameraChange) -> None:
        if self._streams and change.stream not in self._streams:
            return
        if self._as_json:
            write_json_line(sys.stdout.buffer, json.dumps(_facts(change)).encode())
        else:
            reason = [change.reason] if change.reason else []
            words = [timestamp(change.since_ms * 1000), f"{change.stream:<12}"]
            self._out.say("  ".join([*words, f"{change.state:<10}", *reason]).rstrip())


def _facts(change: CameraChange) -> dict[str, object]:
    """Return a change for `--json`; what the process wrote last is in `written`."""
    return {
        "stream": change.stream,
        "state": change.state,
        "since": timestamp(change.since_ms * 1000),
        "reason": change.reason,
        "logged": timestamp(change.logged_ms * 1000),
        "written": None if change.written is None else change.written.content(),
    }
