"""The rules of a chain of units that can be stored one by one: a keyframe, and what continues it.

Each unit is one frame, and gives its own picture at once. Decoding that starts again at the
keyframe gives the same pictures, because the keyframe's unit has all parameter sets that the units
after it use. The decoders of libav do not check most of these rules.
"""

from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.headers.h264_headers import H264Slice
from pipeline.media.video.headers.h264_unit import H264Sets, H264Unit
from pipeline.media.video.headers.h265_headers import RASL
from pipeline.media.video.headers.h265_unit import H265Sets, H265Unit


@dataclass(frozen=True, slots=True)
class StrictLink:
    """A unit that begins a chain (`key`) or continues it. `sets` is a new decoder's extradata.

    `orientation`: how the unit says that its picture is to be turned; None if it says nothing.
    """

    key: bool
    width: int
    height: int
    sets: bytes = b""
    orientation: int | None = None


class StrictChain(Protocol):
    """The chain of one stream. After an error the owner makes a new one."""

    def follow(self, content: bytes, *, whole: bool) -> StrictLink | None:
        """Return how a unit belongs to the chain; None if it is no keyframe and nothing is before.

        `whole`: all units since a keyframe were good. Raises `UndecodableFrameError` if the unit
        breaks a rule.
        """


class StrictH264:
    """See `StrictChain`. `sets`: parameter sets in Annex B, if keyframes come without any."""

    def __init__(self, sets: bytes) -> None:
        self._given = sets
        self._sets = H264Sets()
        self._newest: H264Slice | None = None
        self._frame_num = 0  # of the newest reference frame

    def follow(self, content: bytes, *, whole: bool) -> StrictLink | None:
        """See `StrictChain`."""
        unit = H264Unit.of(content)
        if unit.key:
            return self._begin(unit)
        if not whole:
            return None
        other = self._sets.changed_by(unit)
        if other:
            raise UndecodableFrameError(f"another {other} in the middle of a group")
        first = self._frame_of(unit)
        self._refuse_gap(first)
        self._newest = first
        if first.reference:
            self._frame_num = first.frame_num
        size = first.sequence
        return StrictLink(
            key=False, width=size.width, height=size.height, orientation=unit.orientation
        )

    def _begin(self, unit: H264Unit) -> StrictLink:
        own = bool(unit.sps and unit.pps)
        if not own and not self._given:
            raise UndecodableFrameError("a keyframe without its parameter sets")
        self._sets = H264Sets(b"" if own else self._given)
        self._sets.take(unit)
        first = self._frame_of(unit)
        sequence = first.sequence
        if sequence.reorder_frames:
            raise UndecodableFrameError(
                f"its pictures may be reordered (max_num_reorder_frames {sequence.reorder_frames})"
            )
        if sequence.gaps_allowed:
            raise UndecodableFrameError("its SPS allows gaps in frame_num")
        if first.frame_num:
            raise UndecodableFrameError(f"a keyframe with frame_num {first.frame_num}")
        self._newest, self._frame_num = first, 0
        sets = b"" if own else self._given
        return StrictLink(
            key=True,
            width=sequence.width,
            height=sequence.height,
            sets=sets,
            orientation=unit.orientation,
        )

    def _frame_of(self, unit: H264Unit) -> H264Slice:
        pictures = self._sets.pictures(unit)
        if len(pictures) > 1 or pictures[0][0].field:
            raise UndecodableFrameError("a field of a picture, not a frame")
        return pictures[0][0]

    def _refuse_gap(self, first: H264Slice) -> None:
        due = (self._frame_num + 1) % (1 << first.sequence.frame_num_bits)
        if first.frame_num != due:
            raise UndecodableFrameError(
                f"units are missing before it: frame_num is {first.frame_num}, not {due}"
            )
        if self._newest is not None and first.sequence != self._newest.sequence:
            raise UndecodableFrameError("another SPS in the middle of a group")
        if self._newest is not None and first.sequence.poc_type == 0:
            half = 1 << (first.sequence.poc_bits - 1)
            if not 0 < (first.poc_lsb - self._newest.poc_lsb) % (2 * half) < half:
                raise UndecodableFrameError("its place in the order is before that of the last")


class StrictH265:
    """See `StrictChain`. A lost part of a picture is found only by checksums (MD5 SEI)."""

    def __init__(self, sets: bytes) -> None:
        self._given = sets
        self._sets = H265Sets()

    def follow(self, content: bytes, *, whole: bool) -> StrictLink | None:
        """See `StrictChain`."""
        unit = H265Unit.of(content)
        if unit.key:
            if not unit.has_sets and not self._given:
                raise UndecodableFrameError("a keyframe without its parameter sets")
            self._sets = H265Sets(b"" if unit.has_sets else self._given)
        elif not whole:
            return None
        elif unit.kind in RASL:
            raise UndecodableFrameError("a leading picture (RASL): its pictures are reordered")
        self._sets.take(unit)
        self._sets.refuse_cut(unit)
        sequence = self._sets.sequence
        if sequence is None:
            raise UndecodableFrameError("a picture whose parameter sets are missing")
        if sequence.reorder_pictures:
            raise UndecodableFrameError(
                f"its pictures may be reordered (num_reorder_pics {sequence.reorder_pictures})"
            )
        sets = self._given if unit.key and not unit.has_sets else b""
        return StrictLink(
            unit.key, sequence.width, sequence.height, sets, orientation=unit.orientation
        )
