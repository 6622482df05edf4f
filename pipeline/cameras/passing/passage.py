"""Decides at each keyframe of a camera whether its own units of H.264 are published, or JPEGs."""

from dataclasses import replace
from enum import Enum

from pipeline.cameras.values import PublishedAs
from pipeline.media.video.outcomes import StorableUnit, Unstorable

KEYFRAME_S = 60.0  # workers do not decode units whose keyframe is older, by default
MAX_GROUP_BYTES = 32 << 20  # of a keyframe and what follows it; workers decode no more
LONG_GROUP_S = 10.0
AGAIN_S = 600.0  # a camera whose units did not fit is encoded for so long
_LONG_GROUP_US, _AGAIN_US = round(LONG_GROUP_S * 1e6), round(AGAIN_S * 1e6)


class NoUnit(Enum):
    """What happens to a picture whose unit is not published."""

    ENCODE = "encode"  # a JPEG of it is published
    LEAVE_OUT = "leave out"  # units are published, and this one does not continue them


class Passage:
    """The decision about one camera, over all its connections. One thread uses it.

    Publishing units begins at a keyframe. A damaged or lost unit interrupts it until the next
    keyframe. A unit that shows that the camera does not fit ends it at once: the picture and all
    after it become JPEGs. Each change begins an epoch, and a new epoch resets the memory of the
    model. So after such an end units are not tried again for `AGAIN_S`.
    `obstacle` says why units are never published; None: they may be. Times are capture times.
    """

    def __init__(self, *, obstacle: str | None, keyframe_s: float) -> None:
        self._obstacle = obstacle
        self._keyframe_us = round(keyframe_s * 1e6)
        self._next: int | None = None  # number of the unit that continues; None: only a keyframe
        self._bytes = 0  # of the group so far
        self._key_us: int | None = None  # capture time of the newest keyframe on this connection
        self._ended_us: int | None = None
        self._published = PublishedAs(why_not=obstacle or "")

    @property
    def published(self) -> PublishedAs:
        """What is published at present."""
        return self._published

    def interrupt(self) -> None:
        """Continue with a keyframe: a connection or an epoch begins."""
        self._next = self._key_us = None
        if not self._published.units and self._obstacle is None and self._ended_us is None:
            self._published = replace(self._published, why_not="")  # the camera can have changed

    def decide(
        self, unit: StorableUnit | Unstorable, at_us: int, *, too_large: bool
    ) -> StorableUnit | NoUnit:
        """Return the unit of a picture if it is to be published, else what happens to the picture.

        `too_large`: the picture has to be scaled.
        """
        if self._obstacle is not None:
            return NoUnit.ENCODE
        if isinstance(unit, StorableUnit) and unit.key:
            self._judge_keyframe(at_us, too_large=too_large)
        elif not self._published.units:
            if isinstance(unit, Unstorable) and unit.lasts and not self._published.why_not:
                self._published = replace(self._published, why_not=unit.words)
        elif isinstance(unit, Unstorable) and unit.lasts:
            self._end(unit.words, at_us)
        elif self._key_age_us(at_us) > self._keyframe_us:
            self._end(f"no keyframe came for {self._keyframe_us / 1e6:g} s (`keyframe_s`)", at_us)
        elif isinstance(unit, StorableUnit) and self._bytes + len(unit.content) > MAX_GROUP_BYTES:
            self._end(f"its groups have more than {MAX_GROUP_BYTES >> 20} MiB", at_us)
        return self._follow(unit) if self._published.units else NoUnit.ENCODE

    def _follow(self, unit: StorableUnit | Unstorable) -> StorableUnit | NoUnit:
        if not isinstance(unit, StorableUnit) or not (unit.key or unit.number == self._next):
            self._next = None
            return NoUnit.LEAVE_OUT
        self._next = unit.number + 1
        self._bytes = len(unit.content) + (0 if unit.key else self._bytes)
        return unit

    def _judge_keyframe(self, at_us: int, *, too_large: bool) -> None:
        apart_us = 0 if self._key_us is None else at_us - self._key_us
        self._key_us = at_us
        if apart_us > _LONG_GROUP_US:
            self._published = replace(self._published, long_groups=True)
        if apart_us > self._keyframe_us:
            seconds = f"{apart_us / 1e6:.0f}"
            self._end(f"its keyframes are {seconds} s apart (`keyframe_s`)", at_us)
        elif too_large:
            self._change(units=False, why_not="its pictures are larger than `size`")
        elif self._ended_us is None or not 0 <= at_us - self._ended_us < _AGAIN_US:
            self._ended_us = None
            self._change(units=True)

    def _key_age_us(self, at_us: int) -> int:
        if self._key_us is None:
            self._key_us = at_us  # the wait for a keyframe begins
        return at_us - self._key_us

    def _end(self, why: str, at_us: int) -> None:
        self._ended_us = at_us
        self._change(units=False, why_not=why)

    def _change(self, *, units: bool, why_not: str = "") -> None:
        self._published = replace(self._published, units=units, why_not=why_not)
