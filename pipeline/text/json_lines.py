"""JSON on standard error: each line is one object, whatever part of the process writes there.

`JsonStderr` is the handler of log records. Text that Python code writes to `sys.stderr` comes by
`StderrText`, text that native libraries write to descriptor 2 by `NativeText`.
"""

import io
import json
import logging
import os
import select
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pipeline.text.printable import printable

TEXT_LOGGER, NATIVE_LOGGER = "stderr", "native"
MOST_LINE_CHARACTERS = 64 * 1024  # of foreign text: a longer line becomes several objects
DRAIN_S = 0.5
_STDERR = 2


def json_line(fields: Mapping[str, object]) -> str:
    """Return one line of printable ASCII. Half of a surrogate pair, which is no text, is escaped.

    Parsers differ about such halves; a file name that is not UTF-8 has them.
    """
    whole = {
        name: value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, str)
        else value
        for name, value in fields.items()
    }
    return printable(json.dumps(whole))


class JsonFormatter(logging.Formatter):
    """A log record as a JSON object: docs/operations.md lists its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        fields: dict[str, object] = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        exit_code = getattr(record, "exit_code", None)
        if isinstance(exit_code, int):
            fields["exit_code"] = exit_code
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        elif record.stack_info:
            fields["exception"] = self.formatStack(record.stack_info)
        return json_line(fields)


class LineSink:
    """Writes whole lines to a descriptor. Threads take turns, and a signal may interrupt one."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._turn = threading.RLock()

    def write(self, line: str) -> None:
        """Write a line of ASCII. It is lost if its reader has ended."""
        with self._turn:
            self.write_at_once(line)

    def write_at_once(self, line: str) -> None:
        """Write without a turn: a thread that hangs may have it."""
        left = memoryview(f"{line}\n".encode("ascii"))
        with suppress(OSError):
            while left:
                try:
                    left = left[os.write(self.descriptor, left) :]
                except BlockingIOError:  # another process has made it so: part of a line is no JSON
                    select.select([], [self.descriptor], [])


class ForeignLines:
    """Makes JSON lines of text that comes in pieces. Blank lines are left out."""

    def __init__(self, sink: LineSink, *, level: str, logger: str) -> None:
        self._sink, self._level, self._logger = sink, level, logger
        self._turn = threading.RLock()
        self._begun = ""

    def add(self, text: str) -> None:
        """Add a piece; its finished lines are written."""
        with self._turn:
            *lines, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > MOST_LINE_CHARACTERS:
                lines, self._begun = [*lines, self._begun], ""
            for line in lines:
                self._write(line)

    def finish(self) -> None:
        """Write the line that has begun."""
        with self._turn:
            line, self._begun = self._begun, ""
            self._write(line)

    def _write(self, line: str) -> None:
        if line.strip():
            fields = _now() | {"level": self._level, "logger": self._logger}
            for start in range(0, len(line), MOST_LINE_CHARACTERS):
                part = line[start : start + MOST_LINE_CHARACTERS]
                self._sink.write(json_line(fields | {"message": part.rstrip("\r")}))


class StderrText(io.TextIOBase):
    """Takes the place of `sys.stderr`: a line of text becomes a JSON line. It is no terminal."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, sink: LineSink) -> None:
        self._lines = ForeignLines(sink, level="INFO", logger=TEXT_LOGGER)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write a piece of text."""
        self._lines.add(text)
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor for text of others, which `NativeText` reads."""
        return _STDERR

    def flush(self) -> None:
        """Write the line that has begun: a question waits for its answer."""
        self._lines.finish()


class NativeText:
    """Reads what is written to descriptor 2, by native libraries and by children of the process.

    Writers never wait for it: what does not fit into the pipe is lost, because a writer may hold
    the lock that this thread of Python needs.
    """

    def __init__(self, sink: LineSink) -> None:
        self._lines = ForeignLines(sink, level="WARNING", logger=NATIVE_LOGGER)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        os.dup2(writing, _STDERR)
        os.close(writing)
        self._thread = threading.Thread(
            target=self._read, args=[reading], name="native-text", daemon=True
        )
        self._thread.start()

    def _read(self, reading: int) -> None:
        with open(reading, "rb", buffering=0) as pipe:
            while piece := pipe.read(MOST_LINE_CHARACTERS):
                self._lines.add(piece.decode("utf-8", "backslashreplace"))
        self._lines.finish()

    def finish(self, descriptor: int) -> None:
        """Let descriptor 2 be a copy of another, and write what has come.

        A child of the process may still hold the pipe, so this waits no longer than `DRAIN_S`.
        """
        os.dup2(descriptor, _STDERR)
        self._thread.join(DRAIN_S)


class JsonStderr(logging.Handler):
    """All of standard error as JSON lines, from the constructor until `close`."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        sys.stderr.flush()
        self._sink = LineSink(os.dup(_STDERR))
        self._before = sys.stderr, threading.excepthook, sys.unraisablehook
        self._text, self._native = StderrText(self._sink), NativeText(self._sink)
        sys.stderr = self._text
        threading.excepthook, sys.unraisablehook = _log_thread, _log_unraisable
        logging.captureWarnings(capture=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record as one line."""
        try:
            self._sink.write(self.format(record))
        except Exception:  # noqa: BLE001 - of the record's own arguments; as logging does
            self.handleError(record)

    def write_last(self, message: str, *, exit_code: int) -> None:
        """Write why the process ends, and all stacks, without a lock: a hung thread may have it."""
        fields = {"level": "CRITICAL", "logger": __name__, "message": message}
        end = {"exit_code": exit_code, "exception": _stacks()}
        self._sink.write_at_once(json_line(_now() | fields | end))

    def drain(self) -> None:
        """Write what waits, before the process ends. Native libraries can write no more."""
        self._text.flush()
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - no file
            self._native.finish(nothing.fileno())

    def close(self) -> None:
        """Write what waits, and give standard error back."""
        super().close()
        self._text.flush()
        self._native.finish(self._sink.descriptor)
        os.close(self._sink.descriptor)
        sys.stderr, threading.excepthook, sys.unraisablehook = self._before
        logging.captureWarnings(capture=False)


def _stacks() -> str:
    """Return the stacks of all threads, as text."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"Thread {names.get(number, number)}:\n{''.join(traceback.format_stack(frame))}"
        for number, frame in sys._current_frames().items()  # noqa: SLF001 - documented
    )


def _now() -> dict[str, object]:
    return {"time": _rfc3339(datetime.now(UTC).timestamp())}


def _rfc3339(seconds: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _log_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is None or isinstance(end.exc_value, SystemExit):
        return
    name = "" if end.thread is None else end.thread.name
    logging.getLogger(__name__).critical("thread %s ended", name, exc_info=end.exc_value)


def _log_unraisable(found: "sys.UnraisableHookArgs") -> None:
    words = found.err_msg or "an exception was ignored"
    logging.getLogger(__name__).error("%s: %r", words, found.object, exc_info=found.exc_value)
