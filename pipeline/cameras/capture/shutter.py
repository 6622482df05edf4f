"""Makes shots of one camera's pictures: selects, scales and encodes them, and sets the epoch."""

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation

from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.capture.still import HEIGHT, WIDTH, Cells, Stillness
from pipeline.cameras.capture.timing import CaptureClock, Captured
from pipeline.cameras.passing.passage import KEYFRAME_S, NoUnit, Passage
from pipeline.cameras.values import NewEpoch, Picture, PictureFate, PublishedAs
from pipeline.errors import UndecodableFrameError
from pipeline.media.pictures import SCALING, decode_upright
from pipeline.media.sources import encode_jpeg
from pipeline.media.video.outcomes import StorableUnit

US = 1_000_000


@dataclass(frozen=True, slots=True)
class Exposure:
    """How shots are made. `fps` and `size` (width, height) are limits; None: no limit.

    `obstacle`: why the camera's own units of H.264 are never published; empty: that is not wanted.
    None: they are if they fit, and keyframes are at most `keyframe_s` apart.
    """

    fps: float | None = None
    size: tuple[int, int] | None = None
    quality: int = 90
    frozen_s: float = 0.0  # a picture that has not changed for longer is withheld; 0: never
    obstacle: str | None = ""
    keyframe_s: float = KEYFRAME_S


class Shutter:
    """Makes the shots of one camera, over all its connections. One thread uses it.

    `seq` grows by one with every shot. The epoch grows when a picture no longer continues those
    before; `epoch_s` is the first epoch, in seconds since 1970. While units are published, whole
    groups of them are withheld: a unit is of no use without those before it.
    """

    def __init__(self, stream: str, exposure: Exposure, *, epoch_s: int) -> None:
        self._stream = stream
        self._exposure = exposure
        self._clock = CaptureClock()
        self._stillness = Stillness(round(exposure.frozen_s * US)) if exposure.frozen_s else None
        self._passage = Passage(obstacle=exposure.obstacle, keyframe_s=exposure.keyframe_s)
        self._withheld = False  # the present group of units
        self._epoch = epoch_s
        self._seq = 0
        self._due_us: float | None = None
        self._size: tuple[int, int] | None = None
        self._units: bool | None = None  # whether the newest shot is a unit
        self._new_epoch: NewEpoch | None = NewEpoch.START
        self._captured: Captured | None = None

    @property
    def captured(self) -> Captured | None:
        """How the newest picture was dated; None if its time was known for certain."""
        return self._captured

    @property
    def published(self) -> PublishedAs:
        """What the pictures are published as at present."""
        return self._passage.published

    def take_new_epoch(self) -> NewEpoch | None:
        """Return why a new epoch began since the last call; None if none did."""
        why, self._new_epoch = self._new_epoch, None
        return why

    def connected(self) -> None:
        """Prepare for a new connection: its time stamps start at another value."""
        self._clock.connected()
        self._passage.interrupt()

    def take(
        self, picture: Picture, *, arrived_us: int, steady_us: int | None = None
    ) -> Shot | PictureFate:
        """Make a shot of a picture, or return the fate of a picture that becomes none.

        `steady_us` is the arrival by a clock that is never set, if there is one.
        """
        try:
            return self._take(picture, arrived_us, steady_us)
        except UndecodableFrameError:
            return PictureFate.DAMAGED

    def _take(self, picture: Picture, arrived_us: int, steady_us: int | None) -> Shot | PictureFate:
        at_us = self._time(picture, arrived_us, steady_us)
        self._follow_size(picture, at_us)
        still = self._stands_still(picture, at_us)
        chosen = self._choose(picture, at_us)
        if chosen is NoUnit.LEAVE_OUT:
            return PictureFate.UNKEYED
        if isinstance(chosen, StorableUnit):
            self._withheld = still if chosen.key else self._withheld
            return PictureFate.FROZEN if self._withheld else self._pass(chosen, at_us)
        if still:
            return PictureFate.FROZEN
        if self._exposure.fps is not None:
            due_us = at_us if self._due_us is None else self._due_us
            if at_us < due_us:
                return PictureFate.THINNED
            self._due_us = max(due_us, at_us - US) + US / self._exposure.fps  # late: catch up 1 s
        return self._shot(ShotKind.PICTURE, self._develop(picture), at_us)

    def _choose(self, picture: Picture, at_us: int) -> StorableUnit | NoUnit:
        if picture.frame is None:
            return NoUnit.ENCODE
        smaller = _within(picture.width, picture.height, self._exposure.size)
        return self._passage.decide(picture.unit, at_us, too_large=smaller is not None)

    def _pass(self, unit: StorableUnit, at_us: int) -> Shot:
        return self._shot(ShotKind.KEYFRAME if unit.key else ShotKind.UNIT, unit.content, at_us)

    def _shot(self, kind: ShotKind, content: bytes, at_us: int) -> Shot:
        units = kind is not ShotKind.PICTURE
        if self._units not in (None, units):
            self._begin(NewEpoch.CONTENT, at_us)
        self._units = units
        shot = Shot(self._stream, self._seq, self._epoch, at_us, content, kind)
        self._seq += 1
        return shot

    def _time(self, picture: Picture, arrived_us: int, steady_us: int | None) -> int:
        if picture.captured_us is not None:
            self._captured = None
            return picture.captured_us
        captured = self._captured = self._clock.capture(
            picture.pts_us,
            picture.wall_us,
            arrived_us=arrived_us - picture.late_us,
            steady_us=None if steady_us is None else steady_us - picture.late_us,
        )
        if captured.jumped:
            self._begin(NewEpoch.CLOCK, captured.at_us)
            self._passage.interrupt()
        return captured.at_us

    def _follow_size(self, picture: Picture, at_us: int) -> None:
        size = picture.width, picture.height
        if self._size not in (None, size):
            self._begin(NewEpoch.SIZE, at_us)
        self._size = size

    def _begin(self, why: NewEpoch, at_us: int) -> None:
        self._epoch = max(self._epoch + 1, at_us // US)
        self._due_us = None
        self._new_epoch = why

    def _stands_still(self, picture: Picture, at_us: int) -> bool:
        if self._stillness is None:
            return False
        if self._stillness.due(at_us):
            self._stillness.compare(_cells(_decoded(picture)), at_us)
        return self._stillness.still

    def _develop(self, picture: Picture) -> bytes:
        smaller = _within(picture.width, picture.height, self._exposure.size)
        if picture.jpeg is not None and smaller is None:
            return picture.jpeg
        frame = _decoded(picture)
        if smaller is not None:
            frame = frame.reformat(*smaller, interpolation=SCALING, threads=1)
        return encode_jpeg(frame, quality=self._exposure.quality)


def _decoded(picture: Picture) -> av.VideoFrame:
    if picture.frame is not None:
        return picture.frame
    if picture.part is not None:
        return picture.part()
    return decode_upright(picture.jpeg or b"")


def _within(width: int, height: int, limit: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the largest even size of the same shape within the limit; None if it fits already."""
    if limit is None or (width <= limit[0] and height <= limit[1]):
        return None
    scale = min(limit[0] / width, limit[1] / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _cells(frame: av.VideoFrame) -> Cells:
    try:
        grey = frame.reformat(WIDTH, HEIGHT, "gray", interpolation=Interpolation.AREA, threads=1)
    except (av.FFmpegError, ValueError, MemoryError) as exc:
        raise UndecodableFrameError(f"a picture cannot be made small: {exc}") from exc
    return np.ascontiguousarray(grey.to_ndarray())  # (HEIGHT, WIDTH)
