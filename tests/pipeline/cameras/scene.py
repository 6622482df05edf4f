"""A clock that waiting advances, and pictures of known colours."""

import threading
from dataclasses import replace

import av
import numpy as np

from pipeline.cameras.values import Picture
from pipeline.clock import ManualClock
from pipeline.media.sources import encode_jpeg
from pipeline.media.video.outcomes import StorableUnit, Unstorable

START_S = 1_700_000_000.25
START_US = round(START_S * 1e6)


class SettableClock(ManualClock):
    """A clock whose time of day can be set."""

    def __init__(self, start_s: float) -> None:
        super().__init__(start_s)
        self._set_by_s = 0.0

    def set_by(self, seconds: float) -> None:
        """Set the time of day, as NTP does after the start of a machine."""
        self._set_by_s += seconds

    def time(self) -> float:
        """See `Clock`."""
        return super().time() + self._set_by_s


class Pause(threading.Event):
    """An event whose wait advances a clock."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits = list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        self._clock.advance(timeout or 0.0)
        return self.is_set()


def frame(grey: int = 0, *, width: int = 64, height: int = 48) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width, 3), grey, np.uint8), format="rgb24")


def decoded(grey: int = 0, *, width: int = 64, height: int = 48, at_us: int) -> Picture:
    shown = frame(grey, width=width, height=height)
    return Picture(width, height, frame=shown, captured_us=at_us)


def filmed(
    one: StorableUnit | Unstorable, grey: int = 0, *, width: int = 64, at_us: int
) -> Picture:
    """Return the picture of a unit of video."""
    return replace(decoded(grey, width=width, at_us=at_us), unit=one)


def encoded(grey: int = 0, *, width: int = 64, height: int = 48, at_us: int) -> Picture:
    jpeg = encode_jpeg(frame(grey, width=width, height=height))
    return Picture(width, height, jpeg=jpeg, captured_us=at_us)
