"""Many cameras that publish one film in real time, each at another place of its group."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.broker.shots import Shot


@dataclass(frozen=True, slots=True)
class StreamBegin:
    """A stream begins after so many frames of the others, and `after_s` seconds."""

    stream: str
    frames: int
    after_s: float


class FilmStreams:
    """Publishes the shots of a film for many streams, again and again, in a thread of its own.

    The streams begin one after the other within the time of a group, so that their keyframes do
    not come at the same time. `seq` goes on when the film begins again.
    """

    def __init__(
        self,
        publisher: KafkaPublisher,
        shots: Sequence[Shot],
        streams: Sequence[str],
        *,
        fps: float,
        group_s: float,
    ) -> None:
        self._publisher = publisher
        self._shots, self._fps = shots, fps
        self._begins = begins(streams, fps=fps, group_s=group_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._film, name="streams", daemon=True)
        self.behind_s = 0.0  # most: the machine could not keep up

    def start(self) -> None:
        """Start publishing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop publishing."""
        self._stop.set()
        self._thread.join()

    def _film(self) -> None:
        began_s, number = time.monotonic(), 0
        while True:
            for begin in self._begins:
                due_s = began_s + begin.after_s + number / self._fps
                wait_s = due_s - time.monotonic()
                self.behind_s = max(self.behind_s, -wait_s)
                if self._stop.wait(max(0.0, wait_s)):
                    return
                if number >= begin.frames:
                    self._publish(begin.stream, number - begin.frames)
            number += 1

    def _publish(self, stream: str, seq: int) -> None:
        shot = self._shots[seq % len(self._shots)]
        now_us = round(time.time() * 1e6)
        own = replace(shot, stream=stream, seq=seq, captured_us=now_us)
        self._publisher.publish(stream, own.content, own.headers)


def begins(streams: Sequence[str], *, fps: float, group_s: float) -> list[StreamBegin]:
    """Return when streams begin, evenly within a group, sorted by the time within a frame."""
    found = []
    for n, stream in enumerate(streams):
        at_s = group_s * n / len(streams)
        frames = int(at_s * fps)
        found.append(StreamBegin(stream, frames, at_s - frames / fps))
    return sorted(found, key=lambda begin: begin.after_s)
