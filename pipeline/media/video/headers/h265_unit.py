"""One access unit of H.265 as its NAL units, and the parameter sets that a stream has sent."""

from dataclasses import dataclass

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.picture_headers import MAX_PIXELS
from pipeline.media.video.headers.annexb import MAX_SETS, START, nals, take_newest
from pipeline.media.video.headers.bits import MAX_HEADER_BYTES, Bits
from pipeline.media.video.headers.h265_headers import (
    CHECKSUM_BYTES,
    IRAP,
    PREFIX_SEI,
    SETS,
    SPS,
    VCL,
    VPS,
    H265Sequence,
    begins_picture,
    is_checksum,
    nal_type,
    read_sps,
)
from pipeline.media.video.headers.messages import read_orientation


@dataclass(frozen=True, slots=True)
class H265Unit:
    """The NAL units of an access unit: its parameter sets, and the type of its one picture."""

    sets: tuple[bytes, ...]
    kind: int  # the NAL unit type of the picture; -1: no picture
    checksum: bool  # it has the checksum of its picture
    orientation: int | None  # EXIF orientation of its picture; None: it does not say

    @classmethod
    def of(cls, content: bytes) -> "H265Unit":
        """Scan a unit. Raises `UndecodableFrameError` if it is not exactly one picture."""
        unit = cls.parts(content)
        if unit.kind < 0:
            raise UndecodableFrameError(f"a unit of {len(content)} bytes without a picture")
        return unit

    @classmethod
    def parts(cls, content: bytes) -> "H265Unit":
        """Scan parameter sets, or a unit, which may have no picture."""
        sets, picture, checksum = list[bytes](), -1, False
        orientation: int | None = None
        for begin, end in nals(content):
            head = content[begin : begin + 3]
            kind = nal_type(head)
            if kind in SETS:
                take_newest(sets, _set(content, begin, end))
            elif kind in VCL:
                _refuse_stranger(picture, kind, first=begins_picture(head))
                picture = kind
            if len(sets) > MAX_SETS:
                raise UndecodableFrameError(f"a unit of more than {MAX_SETS} parameter sets")
            checksum |= is_checksum(content[begin : min(end, begin + CHECKSUM_BYTES)])
            if kind == PREFIX_SEI:
                message = read_orientation(content[begin + 2 : min(end, begin + MAX_HEADER_BYTES)])
                orientation = orientation if message is None else message
        return cls(tuple(sets), picture, checksum, orientation)

    @property
    def key(self) -> bool:
        """Whether decoding can begin here."""
        return self.kind in IRAP

    @property
    def has_sets(self) -> bool:
        """Whether it has a VPS, an SPS and a PPS."""
        return {nal_type(nal) for nal in self.sets} == set(SETS)


class H265Sets:
    """The parameter sets of a stream, the newest of each kind and id."""

    def __init__(self, annexb: bytes = b"") -> None:
        self._nals: dict[tuple[int, int], bytes] = {}
        self.sequence: H265Sequence | None = None  # the newest
        self._checksums = False
        if annexb:
            self.take(H265Unit.parts(annexb))

    def take(self, unit: H265Unit) -> None:
        """Take the parameter sets of a unit. Raises `UndecodableFrameError`."""
        for nal in unit.sets:
            kind = nal_type(nal)
            if kind == SPS:
                self.sequence = _bounded(read_sps(nal))
            self._nals[kind, _set_id(kind, nal)] = nal

    @property
    def complete(self) -> bool:
        """Whether there is a set of each kind."""
        return {kind for kind, _ in self._nals} == set(SETS)

    def refuse_cut(self, unit: H265Unit) -> None:
        """Refuse a unit without a checksum, in a stream whose units had one so far.

        The checksum comes last. It is all that can show that a part of a picture is missing.
        """
        if self._checksums and not unit.checksum:
            raise UndecodableFrameError("its checksum is missing")
        self._checksums = unit.checksum

    @property
    def annexb(self) -> bytes:
        """All parameter sets, in Annex B: a decoder's extradata."""
        return b"".join(START + self._nals[key] for key in sorted(self._nals))


def _refuse_stranger(picture: int, kind: int, *, first: bool) -> None:
    if picture < 0 and not first:
        raise UndecodableFrameError("a unit that begins in the middle of its picture")
    if picture >= 0 and first:
        raise UndecodableFrameError("a unit of several pictures, not one")
    if picture >= 0 and kind != picture:
        raise UndecodableFrameError("a unit with slices of two pictures")


def _bounded(sequence: H265Sequence) -> H265Sequence:
    if sequence.width * sequence.height > MAX_PIXELS:
        raise UndecodableFrameError(
            f"video of {sequence.width} x {sequence.height} pixels;"
            f" at most {MAX_PIXELS} are decoded"
        )
    return sequence


def _set_id(kind: int, nal: bytes) -> int:
    """Return the id of a set; all SPSs count as one, because a stream of a camera has one."""
    if kind == SPS:
        return 0
    bits = Bits(nal[2:16])
    return bits.u(4) if kind == VPS else bits.at_most(63, "pps_pic_parameter_set_id")


def _set(content: bytes, begin: int, end: int) -> bytes:
    if end - begin > MAX_HEADER_BYTES:
        raise UndecodableFrameError(f"a parameter set of {end - begin} bytes")
    return content[begin:end].rstrip(b"\x00")
