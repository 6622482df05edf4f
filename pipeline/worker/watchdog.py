"""Ends the process when something that must go on stands still: its memory is in the changelog."""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

EXIT_CODE = 70
TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Something to be watched: `value` must change within `ticks` seconds, unless it is None."""

    value: Callable[[], Hashable | None]
    ticks: int


class Watchdog:
    """Looks once a second, in a thread of its own.

    It counts its own ticks and not the time of day: after SIGSTOP and SIGCONT the clock has jumped
    and a healthy process would be shot.
    """

    def __init__(self, watched: Mapping[str, Progress], bark: Callable[[str], None]) -> None:
        self._watched = watched
        self._bark = bark
        self._seen: dict[str, tuple[Hashable | None, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()

    def tick(self) -> None:
        """Look once at everything."""
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
    """Say what hangs where, and go at once: a hung thread cannot be stopped any other way."""
    sys.stderr.write(f"longtake: {reason}; ending so that a supervisor starts us afresh\n")
    faulthandler.dump_traceback(all_threads=True)
    os._exit(EXIT_CODE)
