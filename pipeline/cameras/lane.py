"""Queues and drops shots so that no unit of video is left without those before it."""

from collections import deque

from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.values import PictureFate

LANE_SHOTS = 100  # pictures of one camera that may wait for the relay's thread: some seconds
LANE_UNITS = 1000  # of video: they are small, and dropping one means dropping a group
LANE_BYTES = 16 << 20


class Lane:
    """A bounded queue of one camera's shots for the relay's thread; drops the oldest when full.

    With a shot goes all that continues it, up to the next keyframe or picture, also what comes
    later.
    """

    def __init__(self) -> None:
        self._shots: deque[Shot] = deque()
        self._bytes = 0
        self._cut = False  # the next shot must not continue the one before

    @property
    def has_room(self) -> bool:
        """Whether the lane is less than half full."""
        return len(self._shots) < LANE_SHOTS // 2 and self._bytes < LANE_BYTES // 2

    def put(self, shot: Shot) -> int:
        """Add a shot; returns how many were dropped to make room."""
        if self._cut and shot.continues:
            return 1
        self._cut = False
        self._shots.append(shot)
        self._bytes += len(shot.content)
        most = LANE_SHOTS if shot.kind is ShotKind.PICTURE else LANE_UNITS
        gone = 0
        while len(self._shots) > most or (self._bytes > LANE_BYTES and len(self._shots) > 1):
            gone += self._drop_oldest()
        return gone

    def take_all(self) -> list[Shot]:
        """Remove and return all shots, in order."""
        shots = list(self._shots)
        self._shots.clear()
        self._bytes = 0
        return shots

    def _drop_oldest(self) -> int:
        """Drop the oldest shot and what continues it; returns how many."""
        before = len(self._shots)
        self._bytes -= len(self._shots.popleft().content)
        while self._shots and self._shots[0].continues:
            self._bytes -= len(self._shots.popleft().content)
        self._cut = not self._shots
        return before - len(self._shots)


class Cuts:
    """The streams whose newest shots were dropped: what continues those ends like them.

    Numbers are the relay's. New shots are judged in their order.
    """

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}  # number of each stream's newest shot that continues none
        self._cut: dict[str, PictureFate] = {}

    def drop(self, stream: str, number: int, fate: PictureFate) -> None:
        """Record that a shot is dropped."""
        if number >= self._begun.get(stream, number):
            self._cut[stream] = fate

    def fate_of(self, number: int, shot: Shot) -> PictureFate | None:
        """Return the fate of a new shot that continues a dropped one; None: it can be sent."""
        if not shot.continues:
            self._begun[shot.stream] = number
            self._cut.pop(shot.stream, None)
        return self._cut.get(shot.stream)
