"""How log records become lines on standard error. No other module configures logging."""

import logging

from pipeline.text.printable import printable, printable_message

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


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
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter(FORMAT))
        root.addHandler(handler)
    root.setLevel(level)
