"""How log records become lines on standard error. No other module configures logging."""

import logging
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pipeline.errors import ConfigError
from pipeline.text.json_lines import JsonStderr
from pipeline.text.printable import printable, printable_message

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FLAG, VARIABLE = "--log-format", "LONGTAKE_LOG_FORMAT"


class LogFormat(StrEnum):
    """What is written to standard error: lines for people, or a JSON object on each line."""

    TEXT = "text"
    JSON = "json"


class LineFormatter(logging.Formatter):
    """One line for each record, whatever text from outside it holds; only a traceback has more.

    The lines of a traceback are indented: no line of it can be taken for another record.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and below it the traceback if there is one."""
        return printable_message(super().format(record))


def log_to_stderr(level: int) -> None:
    """Write all log records of this process to standard error, from `level` on."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_text_handler())
    root.setLevel(level)


def write_as(log_format: LogFormat) -> None:
    """Change the format of standard error; the same one again changes nothing."""
    root = logging.getLogger()
    before = json_stderr()
    if log_format is LogFormat.JSON and before is None:
        for handler in [h for h in root.handlers if isinstance(h.formatter, LineFormatter)]:
            root.removeHandler(handler)
        root.addHandler(JsonStderr())
    elif log_format is LogFormat.TEXT and before is not None:
        root.removeHandler(before)
        before.close()
        root.addHandler(_text_handler())


def json_stderr() -> JsonStderr | None:
    """Return what writes standard error as JSON lines; None if it is text."""
    handlers = logging.getLogger().handlers
    return next((handler for handler in handlers if isinstance(handler, JsonStderr)), None)


def flush_stderr() -> None:
    """Write what waits to be written, before the process ends."""
    sys.stderr.flush()
    if (ours := json_stderr()) is not None:
        ours.drain()


def asked_format(arguments: Sequence[str], environment: Mapping[str, str]) -> LogFormat:
    """Return the format that the command line or else the environment asks for.

    It counts from the first line on, errors in the command line and in settings included. What is
    neither is refused when the command line or the settings are read.
    """
    for before, one in zip(("", *arguments), arguments, strict=False):
        if before == FLAG or one.startswith(f"{FLAG}="):
            return _format_of(one.removeprefix(f"{FLAG}="))
    return _format_of(_variable(environment))


def refuse_unknown_format(environment: Mapping[str, str]) -> None:
    """Raise `ConfigError` if the environment asks for a format that does not exist."""
    value = _variable(environment)
    if value and value not in list(LogFormat):
        raise ConfigError(f"{VARIABLE} = {value[:40]!r}: wanted {' or '.join(LogFormat)}")


def _variable(environment: Mapping[str, str]) -> str:
    named = (value for name, value in environment.items() if name.upper() == VARIABLE)
    return next(named, "")


def _format_of(text: str) -> LogFormat:
    return LogFormat.JSON if text == LogFormat.JSON else LogFormat.TEXT


def _text_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(FORMAT))
    return handler
