"""When pictures really arrived: a server sends its backlog in one burst after we connect."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import Clock

WAITED_S = 0.01  # a read that blocks this long means that the server's backlog is drained
MOST_PICTURES = 50  # held back at most
MOST_STEP_US = 10_000_000  # pictures of one burst that are further apart have wild time stamps
PIECE_US = 30_000_000  # the longest segment of a playlist that is played at its own rate


class Burst:
    """Holds back the pictures of a new connection until a read had to wait for one.

    That picture has just arrived. How much earlier the others arrived is computed from the
    differences of their time stamps.
    """

    def __init__(self) -> None:
        self._held: list[Picture] | None = []  # None: the burst has ended

    def add(self, picture: Picture, *, waited_s: float) -> Sequence[Picture]:
        """Add a picture whose read took `waited_s`; returns the pictures to hand on now."""
        if self._held is None:
            return [picture]
        self._held.append(picture)
        if waited_s < WAITED_S and len(self._held) < MOST_PICTURES:
            return []
        return self.end()

    def end(self) -> Sequence[Picture]:
        """End the burst; returns the pictures that were held back."""
        held, self._held = self._held, None
        return _dated(held) if held else []


def _dated(held: Sequence[Picture]) -> list[Picture]:
    """Set `late_us` of each picture, and copy the last picture's wall-clock offset to all."""
    last = held[-1]
    if last.pts_us is None:
        return list(held)
    stamps = _stamps(held)
    late = _late(stamps)
    wall_us = None if last.wall_us is None else last.wall_us - last.pts_us
    return [
        replace(
            picture,
            pts_us=pts_us,
            wall_us=None if wall_us is None else wall_us + pts_us,
            late_us=late_us,
        )
        for picture, pts_us, late_us in zip(held, stamps, late, strict=True)
    ]


def _late(stamps: Sequence[int]) -> list[int]:
    """Return how long before the last picture each one arrived.

    A wild time stamp says nothing about that: its picture is taken to arrive with the next one.
    """
    late = [0]
    newest_us = stamps[-1]  # of the pictures looked at, the earliest stamp that is not wild
    for pts_us in reversed(stamps[:-1]):
        step_us = newest_us - pts_us
        wild = not 0 <= step_us <= MOST_STEP_US
        late.append(late[-1] + (0 if wild else step_us))
        newest_us = newest_us if wild else pts_us
    return late[::-1]


def _stamps(held: Sequence[Picture]) -> list[int]:
    """Return the time stamps. Where one is missing, it is one step before the next.

    Some streams have none for the first picture.
    """
    known = [picture.pts_us for picture in held if picture.pts_us is not None]
    step_us = known[1] - known[0] if len(known) > 1 else 0
    stamps: list[int] = []
    for picture in reversed(held):
        pts_us = picture.pts_us
        stamps.append(pts_us if pts_us is not None else stamps[-1] - step_us)
    return stamps[::-1]


def paced(
    pictures: Iterator[Picture | PictureFate | None], *, clock: Clock, stop: threading.Event
) -> Iterator[Picture | PictureFate | None]:
    """Yield pictures at the rate of their time stamps: HLS delivers segments of many seconds."""
    zero_us: int | None = None
    for picture in pictures:
        if isinstance(picture, Picture) and picture.pts_us is not None:
            now_us = round(clock.time() * 1e6)
            if zero_us is None or not 0 <= zero_us + picture.pts_us - now_us <= PIECE_US:
                zero_us = now_us - picture.pts_us  # late, or the time stamps jumped
            if stop.wait((zero_us + picture.pts_us - now_us) / 1e6):
                return
        yield picture
