"""One access unit of H.264 as its NAL units, and the parameter sets that a stream has sent."""

from dataclasses import dataclass

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.picture_headers import MAX_PIXELS
from pipeline.media.video.headers.annexb import MAX_SETS, START, nals, take_newest
from pipeline.media.video.headers.bits import MAX_HEADER_BYTES
from pipeline.media.video.headers.h264_headers import (
    IDR,
    PARTITIONS,
    PPS,
    SEI,
    SLICE,
    SLICE_HEADER_BYTES,
    SPS,
    H264Sequence,
    H264Slice,
    read_pps,
    read_slice,
    read_sps,
    recovery_frames,
)
from pipeline.media.video.headers.messages import read_orientation

MAX_MESSAGES = 8  # NAL units of SEI messages that are looked into; units have one to four


@dataclass(frozen=True, slots=True)
class H264Unit:
    """The NAL units of an access unit. Of slices and messages only the first bytes are kept."""

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    messages: tuple[bytes, ...]
    slices: tuple[bytes, ...]

    @classmethod
    def of(cls, content: bytes) -> "H264Unit":
        """Scan a unit. Raises `UndecodableFrameError` if it is not Annex B, or has no picture."""
        unit = cls.parts(content)
        if not unit.slices:
            raise UndecodableFrameError(f"a unit of {len(content)} bytes without a picture")
        return unit

    @classmethod
    def parts(cls, content: bytes) -> "H264Unit":
        """Scan parameter sets, or a part of a unit, which may have no picture."""
        sps, pps, messages, slices = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
        for begin, end in nals(content):
            kind = content[begin] & 31
            if kind in (SLICE, IDR):
                slices.append(content[begin : min(end, begin + SLICE_HEADER_BYTES)])
            elif kind == SPS:
                take_newest(sps, _set(content, begin, end))
            elif kind == PPS:
                take_newest(pps, _set(content, begin, end))
            elif kind == SEI and len(messages) < MAX_MESSAGES:
                messages.append(content[begin : min(end, begin + MAX_HEADER_BYTES)])
            elif kind in PARTITIONS:
                raise UndecodableFrameError("a picture in data partitions, which are not decoded")
            if len(sps) + len(pps) > MAX_SETS:
                raise UndecodableFrameError(f"a unit of more than {MAX_SETS} parameter sets")
        return cls(tuple(sps), tuple(pps), tuple(messages), tuple(slices))

    @property
    def key(self) -> bool:
        """Whether it is an IDR picture."""
        return self.slices[0][0] & 31 == IDR

    @property
    def recovery_frames(self) -> int | None:
        """After how many frames decoding that begins here is right; None if it does not say."""
        found = (recovery_frames(message) for message in self.messages)
        return next((frames for frames in found if frames is not None), None)

    @property
    def orientation(self) -> int | None:
        """The EXIF orientation of its picture; None if it does not say."""
        found = [read_orientation(message[1:]) for message in self.messages]
        return next((one for one in reversed(found) if one is not None), None)


class H264Sets:
    """The parameter sets of a stream, the newest of each id."""

    def __init__(self, annexb: bytes = b"") -> None:
        self._sequences: dict[int, H264Sequence] = {}
        self._pps: dict[int, int] = {}  # id -> id of its SPS
        self._sps_nals: dict[int, bytes] = {}
        self._pps_nals: dict[int, bytes] = {}
        if annexb:
            self.take(H264Unit.parts(annexb))

    def take(self, unit: H264Unit) -> None:
        """Take the parameter sets of a unit. Raises `UndecodableFrameError`."""
        for nal in unit.sps:
            sequence = read_sps(nal)
            if sequence.width * sequence.height > MAX_PIXELS:
                raise UndecodableFrameError(
                    f"video of {sequence.width} x {sequence.height} pixels;"
                    f" at most {MAX_PIXELS} are decoded"
                )
            self._sequences[sequence.id] = sequence
            self._sps_nals[sequence.id] = nal
        for nal in unit.pps:
            set_id, sequence_id = read_pps(nal)
            self._pps[set_id] = sequence_id
            self._pps_nals[set_id] = nal

    def changed_by(self, unit: H264Unit) -> str:
        """Return which parameter sets a unit adds or replaces: `SPS`, `PPS`, or "" for none."""
        if not set(unit.sps) <= set(self._sps_nals.values()):
            return "SPS"
        return "" if set(unit.pps) <= set(self._pps_nals.values()) else "PPS"

    @property
    def annexb(self) -> bytes:
        """All parameter sets, in Annex B: a decoder's extradata."""
        found = [*self._sps_nals.values(), *self._pps_nals.values()]
        return b"".join(START + nal for nal in found)

    def pictures(self, unit: H264Unit) -> list[list[H264Slice]]:
        """Return the slices of each picture of a unit: one frame, or one or two fields.

        Raises `UndecodableFrameError` if the unit is anything else, or a parameter set is missing.
        """
        pictures = list[list[H264Slice]]()
        for nal in unit.slices:
            one = read_slice(nal, self._sequences, self._pps)
            if one.first_mb == 0:
                pictures.append([one])
            elif not pictures:
                raise UndecodableFrameError("a unit that begins in the middle of its picture")
            else:
                _refuse_stranger(pictures[-1], one)
                pictures[-1].append(one)
        if len(pictures) > 1 and not (len(pictures) == 2 and _are_pair(pictures)):
            raise UndecodableFrameError(f"a unit of {len(pictures)} pictures, not one")
        return pictures


def keyframe_pixels(content: bytes) -> int:
    """Return the size of the pictures that begin with a keyframe, by its headers; 0: not known."""
    try:
        return max(one.width * one.height for one in map(read_sps, H264Unit.parts(content).sps))
    except (UndecodableFrameError, ValueError):
        return 0


def follows(one: H264Slice, field: H264Slice) -> bool:
    """Whether a slice is of the second field of the frame whose first field is `field`."""
    return (
        one.field
        and one.bottom != field.bottom
        and one.frame_num == field.frame_num
        and one.sequence == field.sequence
        and (one.nal_type != IDR or field.nal_type == IDR)
    )


def _set(content: bytes, begin: int, end: int) -> bytes:
    if end - begin > MAX_HEADER_BYTES:
        raise UndecodableFrameError(f"a parameter set of {end - begin} bytes")
    return content[begin:end].rstrip(b"\x00")


def _refuse_stranger(picture: list[H264Slice], one: H264Slice) -> None:
    last, first = picture[-1], picture[0]
    if one.first_mb <= last.first_mb:
        raise UndecodableFrameError("a picture whose slices are not in order")
    mine = (one.nal_type, one.frame_num, one.field, one.bottom, one.idr_id, one.sequence)
    theirs = (first.nal_type, first.frame_num, first.field, first.bottom, first.idr_id)
    if mine != (*theirs, first.sequence) or one.poc_lsb != first.poc_lsb:
        raise UndecodableFrameError("a unit with slices of two pictures")


def _are_pair(pictures: list[list[H264Slice]]) -> bool:
    return pictures[0][0].field and follows(pictures[1][0], pictures[0][0])
