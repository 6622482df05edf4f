"""Ends the process if something that must make progress hangs. Its memory is in the changelog."""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from pipeline.text.log_lines import json_stderr

EXIT_CODE = 70
TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A value to watch: it must change within `ticks` seconds, except while it is None."""

    value: Callable[[], Hashable | None]
    ticks: int


class Watchdog:
    """Checks all values once a second, in a thread of its own.

    It counts its own ticks instead of reading a clock: after SIGSTOP and SIGCONT a clock has
    jumped, and the watchdog would end a healthy process.
    """

    def __init__(self, watched: Mapping[str, Progress], bark: Callable[[str], None]) -> None:
        self._watched = watched
        self._bark = bark
        self._seen: dict[str, tuple[Hashable | None, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def tick(self) -> None:
        """Check every value once."""
        for name, progress in self._watched.items():
            value = progress.value()
            before, ticks = self._seen.get(name, (None, 0))
            ticks = ticks + 1 if value is not None and value == before else 0
            self._seen[name] = value, ticks
            if ticks >= progress.ticks:
                self._bark(f"{name} has stood still for {ticks} s")

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self.tick()


def end_process(reason: str) -> None:
    """Print the reason and all stacks, then exit at once: nothing else can end a hung thread."""
    message = f"{reason}; ending so that a supervisor starts us afresh"
    if (json_lines := json_stderr()) is not None:
        json_lines.write_last(message, exit_code=EXIT_CODE)
    else:
        sys.stderr.write(f"longtake: {message}\n")
        faulthandler.dump_traceback(all_threads=True)
    os._exit(EXIT_CODE)
