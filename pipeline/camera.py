"""Plays a video, or relays a camera, into the log as JPEG frames with their capture times."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.clock import Clock
from pipeline.records import Headers
from pipeline.sources import SourceFrame, encode_jpeg, open_source

LIVE_FRAME_US = 33_333  # the pause between two rounds of a clip of a single frame


class Publisher(Protocol):
    """Where frames go."""

    def publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        """Send one encoded picture; None ends the stream."""


@dataclass(frozen=True, slots=True)
class Camera:
    """What to play, and as which stream. `fps` limits the rate by leaving frames out."""

    source: str
    stream: str
    loop: bool = False
    fps: float | None = None
    quality: int = 90

    def play(self, publisher: Publisher, *, clock: Clock, stop: threading.Event) -> Iterator[int]:
        """Publish frame by frame; yields how many have been. Raises `SourceError`.

        A file is played at its true rate and its frames are captured when they are due; a live
        source sets its own pace and its frames are captured when they arrive. `epoch` is the
        second this began, so that a camera that is started again is known to be.
        """
        paced = Path(self.source).exists()
        began_s = clock.time()
        epoch = str(int(began_s)).encode()
        for seq, (pts_us, frame) in enumerate(self._frames()):
            captured_s = began_s + pts_us / 1e6 if paced else clock.time()
            if stop.wait(max(0.0, captured_s - clock.time())):
                return
            headers = (
                ("captured-at", f"{captured_s * 1000:.3f}".encode()),
                ("seq", str(seq).encode()),
                ("epoch", epoch),
                ("content-type", b"image/jpeg"),
            )
            jpeg = encode_jpeg(frame.picture, quality=self.quality)
            publisher.publish(self.stream, jpeg, headers)
            yield seq + 1

    def _frames(self) -> Iterator[tuple[int, SourceFrame]]:
        """Frames with their times since the start, round after round; thinned to `fps`."""
        start_us, due_us = 0, 0.0
        while True:
            last_us, step_us = 0, LIVE_FRAME_US
            for frame in open_source(self.source):
                if frame.index:
                    step_us = frame.pts_us - last_us
                last_us = frame.pts_us
                pts_us = start_us + frame.pts_us
                if self.fps is None or pts_us >= due_us:
                    due_us = max(due_us, pts_us - 1e6) + (1e6 / self.fps if self.fps else 0.0)
                    yield pts_us, frame
            if not self.loop:
                return
            start_us += last_us + max(step_us, 1)
