"""What `tail --cameras` shows of records that any program may have written."""

import io
import json
from dataclasses import replace

import pytest

from pipeline.cli.group.camera_lines import CameraLines
from pipeline.records import Record
from pipeline.text.terminal import Terminal
from tests.pipeline.camera_states import GATE, state_record, stated

LATER_MS = GATE.at_ms + 90_001


class Shown:
    """The lines, and what they wrote to a file in place of a terminal."""

    def __init__(self, *streams: str, as_json: bool = False) -> None:
        self._out, self._hints = io.StringIO(), io.StringIO()
        out, hints = Terminal(file=self._out), Terminal(file=self._hints)
        self.lines = CameraLines(set(streams), as_json=as_json, out=out, hints=hints)

    @property
    def out(self) -> list[str]:
        return self._out.getvalue().splitlines()

    @property
    def hints(self) -> list[str]:
        return self._hints.getvalue().splitlines()


def test_of_what_the_topic_held_only_the_newest_state_of_each_camera_is_shown() -> None:
    shown = Shown()
    yard = replace(GATE, stream="yard", state="live", reason="", at_ms=LATER_MS)
    shown.lines.read([state_record(yard), state_record(stated("live")), state_record(GATE)])
    assert shown.out == []
    shown.lines.begin(now_ms=GATE.at_ms + 30_000)
    assert shown.out == [
        "2023-11-14T22:13:20.000Z  gate          stalled     no good picture for 5 s",
        "2023-11-14T22:13:20.000Z  yard          live",
    ]


def test_a_camera_that_was_unknown_before_the_reader_came_is_shown_as_unknown() -> None:
    shown = Shown()
    shown.lines.read([state_record(GATE)])
    shown.lines.begin(now_ms=LATER_MS)
    shown.lines.judge(now_ms=LATER_MS)
    assert [line.split()[2] for line in shown.out] == ["unknown"]


def test_only_the_wanted_cameras_are_shown() -> None:
    shown = Shown("yard")
    shown.lines.begin(now_ms=0)
    shown.lines.read([state_record(GATE), state_record(replace(GATE, stream="yard"))])
    assert [line.split()[1] for line in shown.out] == ["yard"]


def test_a_reason_cannot_move_the_cursor_or_begin_a_line() -> None:
    value = json.loads(GATE.write().value or b"") | {"reason": "\x1b[2J\nyard  live"}
    shown = Shown()
    shown.lines.begin(now_ms=0)
    shown.lines.read([Record(0, 7, GATE.at_ms, b"gate", json.dumps(value).encode())])
    (line,) = shown.out
    assert line.endswith("\\u001b[2J\\nyard  live")


def test_a_record_that_is_no_state_is_named_and_the_next_is_shown() -> None:
    shown = Shown()
    shown.lines.begin(now_ms=0)
    shown.lines.read([Record(3, 7, 0, b"gate", b"{}"), state_record(GATE)])
    assert shown.hints == ["partition 3 offset 7: this is no state of a camera: schema is missing"]
    assert len(shown.out) == 1


def test_a_time_that_no_clock_has_is_shown_as_the_last_one() -> None:
    shown = Shown()
    shown.lines.begin(now_ms=0)
    shown.lines.read([state_record(GATE), Record(0, 8, 2**62, b"gate", None)])
    assert shown.out[-1].startswith("9999-")


def test_json_has_the_change_and_what_the_process_wrote(capfd: pytest.CaptureFixture[str]) -> None:
    shown = Shown(as_json=True)
    shown.lines.begin(now_ms=0)
    shown.lines.read([state_record(GATE, logged_ms=GATE.at_ms + 5)])
    found = json.loads(capfd.readouterr().out)
    assert (found["state"], found["since"]) == ("stalled", "2023-11-14T22:13:20.000Z")
    assert found["logged"] == "2023-11-14T22:13:50.005Z"
    assert found["written"] == json.loads(GATE.write().value or b"")
