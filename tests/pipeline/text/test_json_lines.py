"""With JSON logs every line on standard error is one object, whatever writes there."""

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.json_lines import MOST_LINE_CHARACTERS, ForeignLines, JsonFormatter, LineSink
from pipeline.text.log_lines import LogFormat, asked_format

START = "from pipeline.text.log_lines import *; log_to_stderr(20); write_as(LogFormat.JSON)\n"
TEXTS = st.text(st.characters()) | st.text('\n\r\t\x00\x1b\x85\u2028\ud800"\\{}ä')


def formatted(message: str, **more: Any) -> str:
    record = logging.LogRecord(
        "lines", logging.WARNING, "", 0, message, None, more.pop("exc", None)
    )
    record.__dict__.update(more)
    return JsonFormatter().format(record)


def written(program: str, code: int = 0) -> list[Any]:
    """Run a program with JSON logs; each line of its standard error, parsed."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{START}{program}\nflush_stderr()"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    return [json.loads(line) for line in ended.stderr.decode("ascii").splitlines()]


@given(TEXTS)
def test_any_message_is_one_line_of_json(text: str) -> None:
    line = formatted(text)
    assert line.isascii()
    assert line.isprintable()
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert json.loads(line)["message"] == shown


@given(TEXTS)
def test_an_exception_with_any_text_is_part_of_the_line(text: str) -> None:
    exc = ValueError(text)
    line = formatted("failed", exc=(ValueError, exc, None))
    assert line.isprintable()
    assert json.loads(line)["exception"].startswith("ValueError")


@given(st.lists(TEXTS))
def test_text_in_any_pieces_becomes_lines_of_json(pieces: list[str]) -> None:
    reading, writing = os.pipe()
    lines = ForeignLines(LineSink(writing), level="INFO", logger="stderr")
    for piece in pieces:
        lines.add(piece)
    lines.finish()
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as pipe:
        found = [json.loads(line)["message"] for line in pipe]
    whole = "".join(pieces).encode("utf-8", "backslashreplace").decode()
    wanted = [line.rstrip("\r") for line in whole.split("\n") if line.strip()]
    assert found == wanted


def test_a_foreign_line_without_an_end_is_written_in_parts() -> None:
    (first, second) = written(f"sys.stderr.write('x' * {MOST_LINE_CHARACTERS + 1})")
    assert len(first["message"]) == MOST_LINE_CHARACTERS
    assert second["message"] == "x"


def test_the_time_is_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 30, 14, 15, 16, 7_000, tzinfo=UTC).timestamp()
    found = json.loads(formatted("begun", created=moment))
    assert found == {
        "time": "2026-11-30T14:15:16.007Z",
        "level": "WARNING",
        "logger": "lines",
        "message": "begun",
    }


def test_what_native_code_and_children_write_is_wrapped() -> None:
    program = "import os; os.write(2, b'W: no GPU\\xff\\n'); os.system('echo from a child >&2')"
    found = {(one["logger"], one["message"]) for one in written(program)}
    assert found == {("native", r"W: no GPU\xff"), ("native", "from a child")}


def test_native_code_never_waits_for_a_reader_that_stands_still() -> None:
    program = """
import os
try:
    while True: os.write(2, b'x' * 4095 + b'\\n')
except BlockingIOError: print('went on', flush=True)
os._exit(0)"""
    command = [sys.executable, "-c", START + program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        assert ended.stdout.read() == b"went on\n"  # and nobody has read standard error
        assert ended.stderr is not None
        ended.stderr.close()


def test_lines_are_whole_on_a_pipe_that_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    program = START + "for _ in range(50): logging.error('x' * 5000)"
    with subprocess.Popen([sys.executable, "-c", program], stderr=writing) as ended:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            found = [json.loads(line)["message"] for line in pipe]
    assert (ended.returncode, found) == (0, ["x" * 5000] * 50)


def test_a_thread_that_ends_with_an_exception_is_one_line() -> None:
    program = """
import threading
thread = threading.Thread(target=lambda: 1 / 0, name='gate')
thread.start(); thread.join()"""
    (line,) = written(program)
    assert (line["level"], line["message"]) == ("CRITICAL", "thread gate ended")
    assert "ZeroDivisionError" in line["exception"]


def test_a_warning_and_a_record_that_cannot_be_formatted_are_lines() -> None:
    program = "import warnings; warnings.warn('old'); logging.error('%d', 'x')"
    found = written(program)
    assert (found[0]["logger"], found[0]["level"]) == ("py.warnings", "WARNING")
    assert any("--- Logging error ---" in one["message"] for one in found)


def test_the_last_line_of_a_hung_process_has_its_stacks() -> None:
    program = "from pipeline.worker.watchdog import end_process; end_process('a commit hangs')"
    (line,) = written(program, code=70)
    assert line["message"].startswith("a commit hangs; ending so that")
    assert line["exit_code"] == 70
    assert 'File "<string>", line 2' in line["exception"]


def test_a_question_without_a_line_end_is_written_before_its_answer() -> None:
    program = "sys.stderr.write('Move it? '); sys.stderr.flush(); sys.stderr.write('y\\n')"
    assert [line["message"] for line in written(program)] == ["Move it? ", "y"]


def test_text_can_be_chosen_again() -> None:
    program = "write_as(LogFormat.TEXT); sys.stderr.write('plain\\n')"
    ended = subprocess.run(
        [sys.executable, "-c", START + program], capture_output=True, check=True, timeout=60
    )
    assert ended.stderr == b"plain\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "wanted"),
    [
        (["worker"], {}, LogFormat.TEXT),
        (["worker", "--log-format", "json"], {}, LogFormat.JSON),
        (["worker", "--log-format=json"], {}, LogFormat.JSON),
        (["worker"], {"LONGTAKE_LOG_FORMAT": "json"}, LogFormat.JSON),
        (["worker"], {"longtake_log_format": "json"}, LogFormat.JSON),
        (["worker", "--log-format", "text"], {"LONGTAKE_LOG_FORMAT": "json"}, LogFormat.TEXT),
        (["worker", "--log-format"], {}, LogFormat.TEXT),
    ],
)
def test_the_command_line_or_else_the_environment_decides(
    arguments: list[str], environment: dict[str, str], wanted: LogFormat
) -> None:
    assert asked_format(arguments, environment) is wanted
