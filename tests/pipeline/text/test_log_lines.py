"""A log record is one line, whatever text from outside it holds."""

import logging
import re
from collections.abc import Iterator
from io import StringIO

import pytest

from pipeline.text.log_lines import FORMAT, LineFormatter

FORGED = "gate\r\n2026-11-30 00:00:00,000 CRITICAL pipeline: all is lost\x1b[31m\u2028"


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What a handler of the command line writes for the logger `lines`."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter(FORMAT))
    logger = logging.getLogger("lines")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


def test_text_in_a_message_begins_no_second_line(lines: StringIO) -> None:
    logging.getLogger("lines").warning("lost %s", FORGED)
    (line,) = lines.getvalue().splitlines()
    assert line.endswith(
        r"WARNING lines: lost gate\r\n2026-11-30 00:00:00,000 CRITICAL pipeline:"
        r" all is lost\u001b[31m\u2028"
    )


def test_the_lines_of_a_traceback_are_indented(lines: StringIO) -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("lines").exception("failed")
    first, *more = lines.getvalue().splitlines()
    assert re.fullmatch(r"\S+ \S+ ERROR lines: failed", first)
    assert "  Traceback (most recent call last):" in more
    assert all(line.startswith("  ") and line.isprintable() for line in more)
