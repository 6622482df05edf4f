"""Detects what is missing from any H.264 or H.265 stream, with reordered pictures and fields too.

These rules accept what files and cameras send. `strict_chains` has those for single stored units.
"""

from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.headers.h264_headers import H264Sequence, H264Slice
from pipeline.media.video.headers.h264_unit import H264Sets, H264Unit, follows
from pipeline.media.video.headers.h265_headers import BLA, RASL
from pipeline.media.video.headers.h265_unit import H265Sets, H265Unit


@dataclass(frozen=True, slots=True)
class FollowedLink:
    """A unit of a chain. `new`: it needs a new decoder; `recovers`: at a recovery point, where
    later units may name pictures from before it. `again`: it is a frame's second field.

    `usable` is False for a picture that is predicted from some before the chain: it belongs to the
    chain, and is not shown. `key`: it begins a group. `orientation`: the EXIF
    orientation that its message asks for; None if it has none.
    """

    new: bool = False
    recovers: bool = False
    again: bool = False
    usable: bool = True
    key: bool = False
    orientation: int | None = None


class FollowedChain(Protocol):
    """The chain of one stream over all its breaks. `end` forgets the chain, not the sets."""

    def follow(self, content: bytes) -> FollowedLink | None:
        """Return how a unit belongs to the chain; None if there is no chain, and it begins none.

        Raises `UndecodableFrameError` if the unit does not follow those before.
        """

    def lacks_field(self, content: bytes | None) -> bool:
        """Whether the newest frame lacks its second field, and a unit is not that; None: the end.

        Half a picture would be shown with the rows of another between its own.
        """

    def end(self) -> None:
        """End the chain; the next one begins with a keyframe."""

    @property
    def sets(self) -> bytes:
        """The newest parameter sets, in Annex B."""


class FollowedH264:
    """See `FollowedChain`. A chain begins with an IDR picture, or at a recovery point (an SEI
    message): then pictures that are shown before the first right one are left out.
    """

    def __init__(self, sets: bytes) -> None:
        self._sets = H264Sets(sets)
        self._sequence: H264Sequence | None = None  # None: there is no chain
        self._frame_num = 0  # of the newest reference frame
        self._field: H264Slice | None = None  # a first field that waits for the second
        self._recovering = False  # the chain began with a recovery point
        self._recovery: int | None = None  # frame_num of the first right picture that is to come
        self._start: H264Slice | None = None  # pictures shown before it are left out

    @property
    def sets(self) -> bytes:
        """See `FollowedChain`."""
        return self._sets.annexb

    def lacks_field(self, content: bytes | None) -> bool:
        """See `FollowedChain`."""
        if self._field is None or content is None:
            return self._field is not None
        try:
            first = self._sets.pictures(H264Unit.of(content))[0][0]
        except UndecodableFrameError:
            return True
        return not follows(first, self._field)

    def end(self) -> None:
        """See `FollowedChain`."""
        self._sequence = self._field = self._recovery = self._start = None

    def follow(self, content: bytes) -> FollowedLink | None:
        """See `FollowedChain`."""
        unit = H264Unit.of(content)
        if unit.sps or unit.pps:
            self._sets.take(unit)
        try:
            pictures = self._sets.pictures(unit)
        except UndecodableFrameError:
            if self._sequence is None and not unit.key:
                return None
            raise
        first = pictures[0][0]
        if self._field is not None and follows(first, self._field):
            self._field = None
            return FollowedLink(again=True, usable=self._is_usable(first))
        if unit.key:
            new = self._begin(first)
        elif self._sequence is None:
            frames = _recovery_frames(unit, pictures)
            if frames is None:
                return None
            new = self._recovering = self._begin(first)
            self._recovery = (first.frame_num + frames) % (1 << first.sequence.frame_num_bits)
        else:
            new = self._continue(first)
        self._field = first if first.field and len(pictures) == 1 else None
        return FollowedLink(
            new=new,
            recovers=self._recovering,
            usable=self._is_usable(first),
            key=unit.key,
            orientation=unit.orientation,
        )

    def _begin(self, first: H264Slice) -> bool:
        """Begin a group; returns whether it needs a new decoder."""
        new = first.sequence != self._sequence or self._recovering
        self._recovering = False
        self._sequence, self._frame_num = first.sequence, first.frame_num
        self._recovery = self._start = None
        return new

    def _continue(self, first: H264Slice) -> bool:
        sequence = first.sequence
        if sequence != self._sequence:
            raise UndecodableFrameError("another SPS without a keyframe")
        due = (self._frame_num + 1) % (1 << sequence.frame_num_bits)
        if first.frame_num != due and not sequence.gaps_allowed:
            raise UndecodableFrameError(
                f"units are missing before it: frame_num is {first.frame_num}, not {due}"
            )
        if first.reference:
            self._frame_num = first.frame_num
        return False

    def _is_usable(self, first: H264Slice) -> bool:
        if self._recovery is not None:
            if first.frame_num != self._recovery or not first.reference:
                return False
            self._recovery, self._start = None, first
        if self._start is None or self._start is first or first.sequence.poc_type == 2:
            return True
        half = 1 << (first.sequence.poc_bits - 1)
        if (first.poc_lsb - self._start.poc_lsb) % (2 * half) >= half:
            return False
        self._start = None  # in decoding order, those shown before come first
        return True


class FollowedH265:
    """See `FollowedChain`. Of missing units libav reports those that a later picture refers to.

    New parameter sets can be lost, and libav decodes a keyframe with the old ones to a wrong
    picture. So after a loss, in a stream that repeats its sets, the next keyframe must have them.
    """

    def __init__(self, sets: bytes) -> None:
        self._sets = H265Sets(sets)
        self._sent = 0  # how often the sets have come
        self._needs_sets = False
        self._going = False
        self._leading = True  # whether leading pictures (RASL) can be decoded

    @property
    def sets(self) -> bytes:
        """See `FollowedChain`."""
        return self._sets.annexb

    def lacks_field(self, content: bytes | None) -> bool:
        """See `FollowedChain`: in H.265 a field is a picture of its own."""
        return False

    def end(self) -> None:
        """See `FollowedChain`."""
        self._going = False
        self._needs_sets = self._sent > 1

    def follow(self, content: bytes) -> FollowedLink | None:
        """See `FollowedChain`."""
        unit = H265Unit.of(content)
        if unit.sets:
            self._sets.take(unit)
        if unit.has_sets:
            self._sent, self._needs_sets = self._sent + 1, False
        if unit.key or self._going:
            self._sets.refuse_cut(unit)
        if unit.key and self._sets.complete and not self._needs_sets:
            new = not self._going
            self._going, self._leading = True, not new and unit.kind not in BLA
            return FollowedLink(new=new, key=True, orientation=unit.orientation)
        if not self._going:
            return None
        if unit.kind in RASL and not self._leading:
            return None
        return FollowedLink(orientation=unit.orientation)


def _recovery_frames(unit: H264Unit, pictures: list[list[H264Slice]]) -> int | None:
    """Return after how many frames decoding that begins here is right; None if it never is."""
    frames = unit.recovery_frames
    if frames is None or pictures[0][0].sequence.poc_type == 1:
        return None
    intra = all(one.intra for picture in pictures for one in picture)
    return frames if intra or frames else None
