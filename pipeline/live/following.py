"""Follows the topics in threads, and goes on after any failure: the page shows it meanwhile."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.errors import LongtakeError
from pipeline.live.wall import Wall
from pipeline.records import Record, Topics

log = logging.getLogger(__name__)

READ_S = 0.25
CHECK_S = 1.0  # of silence, after which the broker is asked whether it is there
PAUSE_S = 1.0


class Tail(Protocol):
    """What is read of a topic. See `TopicTail`."""

    def read(self, timeout_s: float) -> Sequence[Record]:
        """Wait at most `timeout_s` for records."""

    def check(self) -> bool:
        """Return whether it still reads the whole topic. Raises if the broker does not answer."""

    def close(self) -> None:
        """Close the connection."""


OpenTail = Callable[[str, bool], Tail]
"""Opens a topic from its start (True) or its end. Raises `LongtakeError`."""


class Following:
    """Reads one topic for the wall until `stop`."""

    def __init__(
        self,
        wall: Wall,
        open_tail: OpenTail,
        topic: str,
        take: Callable[[Sequence[Record]], None],
        *,
        from_start: bool,
        vital: bool = True,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._wall, self._open_tail, self._topic, self._take = wall, open_tail, topic, take
        self._from_start, self._vital, self._opened = from_start, vital, opened
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"live {topic}", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Begin to read, in a thread."""
        self._wall.in_trouble(self._topic, "it is being opened", vital=self._vital)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopping.is_set():
            tail: Tail | None = None
            try:
                tail = self._open_tail(self._topic, self._from_start)
                self._opened()
                self._follow(tail)
            except LongtakeError as exc:
                self._trouble(str(exc))
            finally:
                _closed(tail)
            self._stopping.wait(PAUSE_S)

    def _follow(self, tail: Tail) -> None:
        """Read until the topic has to be opened anew. Raises if the broker does not answer."""
        quiet_s = CHECK_S
        while not self._stopping.is_set():
            records = tail.read(READ_S)
            if records:
                self._take(records)
            quiet_s = 0.0 if records else quiet_s + READ_S
            if records:
                self._trouble("")
            elif quiet_s >= CHECK_S:
                quiet_s = 0.0
                if not tail.check():
                    self._trouble("it is missing, or its partitions have changed")
                    return
                self._trouble("")

    def _trouble(self, words: str) -> None:
        self._wall.in_trouble(self._topic, words, vital=self._vital)
        if words and not self._said:
            log.warning("topic %s cannot be read: %s; trying again", self._topic, words)
        elif self._said and not words:
            log.info("topic %s is read again", self._topic)
        self._said = words


def _closed(tail: Tail | None) -> None:
    if tail is not None:
        try:
            tail.close()
        except LongtakeError as exc:
            log.debug("closing: %s", exc)


def followings(wall: Wall, topics: Topics, open_tail: OpenTail) -> list[Following]:
    """Return what follows all topics of the page; the cameras' only where there is one."""
    predictions = Following(
        wall,
        open_tail,
        topics.predictions,
        wall.take_predictions,
        from_start=False,
        opened=wall.skipped_predictions,
    )
    frames = Following(wall, open_tail, topics.frames, wall.take_frames, from_start=False)
    cameras = Following(
        wall, open_tail, topics.cameras, wall.take_cameras, from_start=True, vital=False
    )
    return [predictions, frames, *([cameras] if topics.cameras else [])]
