"""Reads the times of events from the logs of brokers and workers."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

Line = tuple[float, str]  # seconds since 1970, and the text after it

WORKER_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (.*)")
BROKER_LINE = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})\] (.*)")

DETECTED = re.compile(r"Member .* has failed, removing it from the group")
STARTED = re.compile(r"worker \S+ \(process \d+\) runs bundle")
ASSIGNED = re.compile(r"partitions \[[\d, ]+\] are ours now")
RESTORED = re.compile(r"restored partitions \[[\d, ]+\] with \d+ streams in")


def lines(file: Path, form: re.Pattern[str]) -> list[Line]:
    """Return all lines of a log that have a time."""
    found = (form.match(line) for line in file.read_text("utf-8", "replace").splitlines())
    return [(_seconds(match[1], match[2]), match[3]) for match in found if match is not None]


def when(said: Iterable[Line], what: re.Pattern[str], begin_s: float, end_s: float) -> list[float]:
    """Return the times, within an interval, of the lines that match."""
    return [at_s for at_s, text in said if begin_s < at_s <= end_s and what.search(text)]


def _seconds(moment: str, millis: str) -> float:
    return time.mktime(time.strptime(moment, "%Y-%m-%d %H:%M:%S")) + int(millis) / 1000
