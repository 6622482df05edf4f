"""Finds the units of a live stream or a file that can be stored one by one.

`UnitDecoder` follows what cameras and files send, and decodes it. This module applies the rules of
`strict_chains` to the same units and pictures, so that nothing is decoded twice.
"""

from collections.abc import Sequence

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.first_slice import first_slice
from pipeline.media.video.headers.annexb import START, nals
from pipeline.media.video.headers.h264_headers import DELIMITER, IDR, PPS, SLICE, SPS
from pipeline.media.video.outcomes import Decoded, Outcome, StorableUnit, Unstorable
from pipeline.media.video.regrouping import TimedUnit
from pipeline.media.video.strict_chains import StrictH264, StrictLink

_UNKEYED = Unstorable("no whole keyframe is before it", lasts=False)
_UPRIGHT = 1


class StorableChain:
    """The chains of storable units of one stream of H.264. One thread at a time."""

    def __init__(self) -> None:
        self._chain = StrictH264(b"")
        self._why: Unstorable | None = _UNKEYED  # why there is no chain; None: there is one
        self._number = 0  # of the next unit

    def judge(
        self, unit: TimedUnit, outcomes: Sequence[Outcome], sets: bytes
    ) -> StorableUnit | Unstorable:
        """Return the unit as it can be stored, or why it cannot.

        `outcomes` is what its decoding gave, `sets` are the newest parameter sets of the stream:
        they are put into keyframes that come without any.
        """
        if not all(isinstance(one, Decoded) for one in outcomes):
            lasting = self._why if self._why is not None and self._why.lasts else None
            return self._end(lasting or _UNKEYED)
        try:
            first = first_slice("h264", unit.content)
            key = first is not None and first.key
            content = with_own_sets(unit.content, sets) if key else unit.content
            link = self._chain.follow(content, whole=self._why is None)
            if link is None:
                return self._why or _UNKEYED
            _require_same(link, _own_picture(unit, outcomes))
        except UndecodableFrameError as exc:
            return self._end(Unstorable(str(exc)))
        self._why = None
        number = 0 if link.key else self._number
        self._number = number + 1
        return StorableUnit(content, number)

    def _end(self, why: Unstorable) -> Unstorable:
        self._chain, self._why = StrictH264(b""), why
        return why


def with_own_sets(content: bytes, sets: bytes) -> bytes:
    """Return a keyframe with its parameter sets before its picture, and none within it.

    Servers send them before each slice, or not at all. An access unit delimiter stays in front.
    """
    found = [content[begin:end].rstrip(b"\x00") for begin, end in nals(content)]
    kinds = [nal[0] & 31 for nal in found]
    first = next((n for n, kind in enumerate(kinds) if kind in (SLICE, IDR)), len(found))
    own = {SPS, PPS} <= set(kinds[:first])
    if own and not {SPS, PPS} & set(kinds[first:]):
        return content
    kept = [
        START + nal
        for n, (nal, kind) in enumerate(zip(found, kinds, strict=True))
        if kind not in (SPS, PPS) or (own and n < first)
    ]
    at = 1 if kinds[0] == DELIMITER else 0
    return b"".join([*kept[:at], b"" if own else sets, *kept[at:]])


def _own_picture(unit: TimedUnit, outcomes: Sequence[Outcome]) -> Decoded:
    """Return the picture of a unit.

    Raises `UndecodableFrameError` if the decoding of the unit gave anything but its own picture.
    """
    pictures = [one for one in outcomes if isinstance(one, Decoded)]
    if len(pictures) != 1 or pictures[0].picture.pts != unit.pts:
        raise UndecodableFrameError("its units do not give their own pictures at once")
    return pictures[0]


def _require_same(link: StrictLink, decoded: Decoded) -> None:
    """Raise `UndecodableFrameError` if a reader of the unit would see another picture."""
    picture = decoded.picture
    if link.key != decoded.key:
        raise UndecodableFrameError("its units do not give their own pictures at once")
    if (picture.width, picture.height) != (link.width, link.height):
        raise UndecodableFrameError(
            f"its picture is {picture.width} x {picture.height},"
            f" its SPS says {link.width} x {link.height}"
        )
    if decoded.orientation != _UPRIGHT:
        raise UndecodableFrameError("its pictures are to be turned")
