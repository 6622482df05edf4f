"""Cameras that publish units of H.264: some are lost, cut, repeated or swapped."""

from collections.abc import Mapping, Sequence

from tests.chaos.cameras import TROUBLES, Camera, Shot
from tests.chaos.clips import Film, cut_film, cut_pictures

GROUPS = (6, 12, 24)  # units from keyframe to keyframe: 2, 4 and 8 s of the log at 3 units a second
ROUND = 8  # so many cameras have a partition each
SETS = b"\x00\x00\x01\x67"  # how an SPS begins
IDR = b"\x00\x00\x01\x65"

UNIT_TROUBLES: Mapping[str, float] = {
    "repeat": 2, "resend": 1, "half": 0.6, "garbage": 0.3, "header": 0.3, "late": 0.5, "end": 0.4,
    "burst": 0.7, "restart": 0.6, "gap": 1, "backwards": 1, "clock": 0.5,
    "lost": 0.6, "lost uncounted": 0.4, "swap": 0.5, "flip": 0.5, "joined": 0.3, "bare": 0.2,
    "still": 0.4, "wrong mark": 0.5,
}  # fmt: skip


class UnitCamera(Camera):
    """See `Camera`. Its film begins again and again; `stills` are JPEGs in place of some units."""

    def __init__(
        self, number: int, film: Film, stills: Sequence[bytes], *, seed: int,
        troubles: Mapping[str, float],
    ) -> None:  # fmt: skip
        super().__init__(number, film, seed=seed, troubles=troubles)
        self._stills = stills

    def _troubled(self, kind: str) -> list[Shot]:
        if kind in ("lost", "lost uncounted"):
            self._lose(self._rng.randint(1, 3), counted=kind == "lost")
            return [self._frame()]
        if kind == "swap":
            return [self._frame(), self._frame()][::-1]
        if kind in ("half", "flip", "joined", "bare", "still", "wrong mark"):
            return [self._damaged(kind, self._frame())]
        shots = super()._troubled(kind)
        if kind == "restart" and self._rng.random() < 0.5:
            self._shown = -1  # its film begins again, with a keyframe: as most cameras do
        return shots

    def _lose(self, count: int, *, counted: bool) -> None:
        """Lose units. If they are counted, `seq` has a hole."""
        self._shown += count
        self._seq += count if counted else 0

    def _damaged(self, kind: str, shot: Shot) -> Shot:
        value, headers = shot.value or b"", shot.headers
        if kind == "half":
            return Shot(value[: self._rng.randrange(1, len(value))], headers)
        if kind == "flip":
            flipped = bytearray(value)
            flipped[self._rng.randrange(len(value))] ^= 1 << self._rng.randrange(8)
            return Shot(bytes(flipped), headers)
        if kind == "joined":
            self._shown += 1
            return Shot(value + self._picture(), headers)
        if kind == "bare":  # without its parameter sets, if it is a keyframe
            return Shot(value[max(0, value.find(IDR)) :], headers)
        if kind == "still":
            still = self._rng.choice(self._stills)
            return Shot(still, headers | {"content-type": b"image/jpeg"})
        return Shot(value, headers | {"keyframe": b"1"})  # only the bytes count

    def _frame(self) -> Shot:
        shot = super()._frame()
        headers = shot.headers | {"content-type": b"video/h264"}
        if SETS in (shot.value or b""):
            headers["keyframe"] = b"1"
        return Shot(shot.value, headers)


def mixed_cameras(streams: int, *, seed: int) -> list[Camera]:
    """Return cameras of which half publish JPEGs and half H.264, with all their troubles.

    Each partition of `ROUND` has both.
    """
    pictures = cut_pictures()
    return [
        UnitCamera(
            number,
            cut_film(number, GROUPS[number // 2 % len(GROUPS)]),
            pictures[number % len(pictures)],
            seed=seed,
            troubles=UNIT_TROUBLES,
        )
        if (number + number // ROUND) % 2
        else Camera(number, pictures[number % len(pictures)], seed=seed, troubles=TROUBLES)
        for number in range(streams)
    ]
