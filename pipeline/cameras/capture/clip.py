"""A video file or a folder of pictures as a camera source."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason, SourceError
from pipeline.media.sources import FrameSource, SourceFrame, open_source

ONLY_FRAME_US = 33_333  # the duration of a clip that has only one frame


class ClipSource:
    """See `Source`. A frame's capture time is the start time plus its time in the file.

    With `realtime` each frame is yielded at its capture time, otherwise as fast as the caller
    takes it. Raises `CameraLostError` with `REFUSED` if the clip cannot be read, and with `ENDED`
    at its end.
    """

    retries = False

    def __init__(self, path: Path, *, loop: bool, realtime: bool, clock: Clock) -> None:
        self._path = path
        self._loop = loop
        self._realtime = realtime
        self._clock = clock

    def pictures(self, stop: threading.Event) -> Iterator[Picture | PictureFate]:
        """See `Source`."""
        began_us = round(self._clock.time() * 1e6)
        try:
            for pts_us, frame in self._rounds():
                if isinstance(frame, PictureFate):
                    yield frame
                    continue
                captured_us = began_us + pts_us
                wait_s = captured_us / 1e6 - self._clock.time() if self._realtime else 0.0
                if stop.wait(max(0.0, wait_s)):
                    return
                shown = frame.picture
                yield Picture(
                    shown.width,
                    shown.height,
                    frame=shown,
                    captured_us=captured_us,
                    unit=frame.unit,
                )
        except SourceError as exc:
            raise CameraLostError(LossReason.REFUSED, str(exc)) from exc
        raise CameraLostError(LossReason.ENDED, "the clip is over")

    def _rounds(self) -> Iterator[tuple[int, SourceFrame | PictureFate]]:
        """Yield frames with their times since the start; with `loop`, again and again.

        Frames that are left out are yielded as their fates, before the next frame.
        """
        start_us = 0
        while True:
            last_us, step_us = 0, ONLY_FRAME_US
            source, counted = open_source(self._path, frame_threads=False), Counter[str]()
            for frame in source:
                for fate in _left_out(source, counted):
                    yield start_us + last_us, fate
                if frame.index:
                    step_us = frame.pts_us - last_us
                last_us = frame.pts_us
                yield start_us + frame.pts_us, frame
            for fate in _left_out(source, counted):
                yield start_us + last_us, fate
            if not self._loop:
                return
            start_us += last_us + max(step_us, 1)


def _left_out(source: FrameSource, counted: Counter[str]) -> list[PictureFate]:
    """Return the fates of the frames that were left out since the last call."""
    new = Counter[str](source.completeness.left_out) - counted
    counted.update(new)
    return [PictureFate(why) for why in new.elements()]
