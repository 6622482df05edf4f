"""When pictures really came: what a server had kept before we asked comes in one burst."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.cameras.values import Left, Picture
from pipeline.clock import Clock

WAITED_S = 0.01  # whoever has to wait for a picture is caught up with the camera
MOST_PICTURES = 50
PIECE_US = 30_000_000  # the longest piece of a playlist that is waited through


class Burst:
    """Holds back the pictures of a new connection until one had to be waited for.

    That one has just come. The others came before it, by as much as their time stamps say.
    """

    def __init__(self) -> None:
        self._held: list[Picture] | None = []  # None: it is over

    def add(self, picture: Picture, *, waited_s: float) -> Sequence[Picture]:
        """Take a picture that was waited for so long; returns those that can go on."""
        if self._held is None:
            return [picture]
        self._held.append(picture)
        if waited_s < WAITED_S and len(self._held) < MOST_PICTURES:
            return []
        return self.end()

    def end(self) -> Sequence[Picture]:
        """Hold nothing back any more; returns what was held."""
        held, self._held = self._held, None
        return _dated(held) if held else []


def _dated(held: Sequence[Picture]) -> list[Picture]:
    """Tell of each picture how late it is; what the last knows of the camera's clock, all know."""
    last = held[-1]
    if last.pts_us is None:
        return list(held)
    stamps = _stamps(held)
    wall_us = None if last.wall_us is None else last.wall_us - last.pts_us
    return [
        replace(
            picture,
            pts_us=pts_us,
            wall_us=None if wall_us is None else wall_us + pts_us,
            late_us=max(0, last.pts_us - pts_us),
        )
        for picture, pts_us in zip(held, stamps, strict=True)
    ]


def _stamps(held: Sequence[Picture]) -> list[int]:
    """Their time stamps; the first has none in some streams: it comes a step before the next."""
    known = [picture.pts_us for picture in held if picture.pts_us is not None]
    step_us = known[1] - known[0] if len(known) > 1 else 0
    stamps: list[int] = []
    for picture in reversed(held):
        pts_us = picture.pts_us
        stamps.append(pts_us if pts_us is not None else stamps[-1] - step_us)
    return stamps[::-1]


def paced(
    pictures: Iterator[Picture | Left | None], *, clock: Clock, stop: threading.Event
) -> Iterator[Picture | Left | None]:
    """Play what comes in pieces of many seconds (HLS) at the rate of its time stamps."""
    zero_us: int | None = None
    for picture in pictures:
        if isinstance(picture, Picture) and picture.pts_us is not None:
            now_us = round(clock.time() * 1e6)
            if zero_us is None or not 0 <= zero_us + picture.pts_us - now_us <= PIECE_US:
                zero_us = now_us - picture.pts_us  # late, or its time has jumped
            if stop.wait((zero_us + picture.pts_us - now_us) / 1e6):
                return
        yield picture
