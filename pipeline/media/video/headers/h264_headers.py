"""The fields of H.264 headers that detecting loss needs.

See ITU-T H.264 clauses 7.3.2.1 (SPS), 7.3.2.2 (PPS), 7.3.3 (slice), D.1 (SEI) and E.1 (VUI).
"""

from dataclasses import dataclass

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.headers.bits import Bits
from pipeline.media.video.headers.messages import read_messages

SLICE, IDR, SEI, SPS, PPS, DELIMITER = 1, 5, 6, 7, 8, 9
PARTITIONS = (2, 3, 4)
BEFORE_PICTURE = frozenset({SEI, SPS, PPS, 9, *range(14, 19)})  # 9: a delimiter (clause 7.4.1.2.3)

SLICE_HEADER_BYTES = 32  # enough for the fields that are read, emulation prevention included
# profiles whose SPS has the format of the samples (clause 7.3.2.1.1)
_WITH_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_RECOVERY_POINT = 6  # the type of an SEI message
_EXTENDED_SAR = 255


@dataclass(frozen=True, slots=True)
class H264Sequence:
    """The fields of a sequence parameter set. `reorder_frames` is None if it does not say."""

    id: int
    width: int
    height: int
    frame_num_bits: int
    poc_type: int
    poc_bits: int  # of pic_order_cnt_lsb; 0 unless poc_type is 0
    gaps_allowed: bool
    frames_only: bool  # no fields, no MBAFF
    separate_planes: bool
    reorder_frames: int | None


@dataclass(frozen=True, slots=True)
class H264Slice:
    """The fields of a slice header. `poc_lsb` is 0 unless the poc_type is 0."""

    nal_type: int
    reference: bool  # other pictures may be predicted from this one
    first_mb: int
    intra: bool
    sequence: H264Sequence
    frame_num: int
    field: bool
    bottom: bool
    idr_id: int
    poc_lsb: int


def read_sps(nal: bytes) -> H264Sequence:
    """Read an SPS, with its NAL header. Raises `UndecodableFrameError`."""
    bits = Bits(nal[1:])
    profile = bits.u(8)
    bits.u(16)  # constraints, level
    set_id = bits.at_most(31, "seq_parameter_set_id")
    chroma, separate = _format(bits) if profile in _WITH_FORMAT else (1, False)
    frame_num_bits = bits.at_most(12, "log2_max_frame_num_minus4") + 4
    poc_type, poc_bits = _order(bits)
    bits.ue()  # max_num_ref_frames
    gaps_allowed = bits.flag()
    columns, rows = bits.ue() + 1, bits.ue() + 1
    frames_only = bits.flag()
    if not frames_only:
        bits.u(1)
    bits.u(1)
    rows *= 1 if frames_only else 2
    left, right, top, bottom = (bits.ue() for _ in range(4)) if bits.flag() else (0, 0, 0, 0)
    step_x = 2 if chroma in (1, 2) else 1
    step_y = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
    width = 16 * columns - step_x * (left + right)
    height = 16 * rows - step_y * (top + bottom)
    if width <= 0 or height <= 0:
        raise UndecodableFrameError(f"an SPS of {width} x {height} pixels")
    return H264Sequence(
        id=set_id,
        width=width,
        height=height,
        frame_num_bits=frame_num_bits,
        poc_type=poc_type,
        poc_bits=poc_bits,
        gaps_allowed=gaps_allowed,
        frames_only=frames_only,
        separate_planes=separate,
        reorder_frames=_reorder_frames(bits),
    )


def read_pps(nal: bytes) -> tuple[int, int]:
    """Return the id of a PPS and the id of its SPS. Raises `UndecodableFrameError`."""
    bits = Bits(nal[1:SLICE_HEADER_BYTES])
    return bits.at_most(255, "pic_parameter_set_id"), bits.at_most(31, "seq_parameter_set_id")


def begins_picture(nal: bytes) -> bool:
    """Whether a slice is the first of its picture (or field): first_mb_in_slice is 0."""
    return len(nal) > 1 and nal[1] & 0x80 != 0


def read_slice(nal: bytes, sequences: dict[int, H264Sequence], pps: dict[int, int]) -> H264Slice:
    """Read the header of a slice; `pps` maps the ids of PPSs to those of their SPSs.

    Raises `UndecodableFrameError`, also if a parameter set is missing.
    """
    header = nal[0]
    bits = Bits(nal[1:SLICE_HEADER_BYTES])
    first_mb, kind = bits.ue(), bits.at_most(9, "slice_type")
    sequence = sequences.get(pps.get(bits.ue(), -1))
    if sequence is None:
        raise UndecodableFrameError("a picture whose parameter sets are missing")
    if sequence.separate_planes:
        bits.u(2)
    frame_num = bits.u(sequence.frame_num_bits)
    field = not sequence.frames_only and bits.flag()
    bottom = field and bits.flag()
    idr_id = bits.ue() if header & 31 == IDR else 0
    return H264Slice(
        nal_type=header & 31,
        reference=header >> 5 & 3 != 0,
        first_mb=first_mb,
        intra=kind % 5 in (2, 4),  # I, SI
        sequence=sequence,
        frame_num=frame_num,
        field=field,
        bottom=bottom,
        idr_id=idr_id,
        poc_lsb=bits.u(sequence.poc_bits),
    )


def recovery_frames(nal: bytes) -> int | None:
    """Return recovery_frame_cnt of an SEI NAL unit; None if it holds no recovery point.

    One that says that pictures are only about right after some frames counts as none.
    """
    for kind, bits in read_messages(nal[1:]):
        if kind == _RECOVERY_POINT:
            frames, exact = bits.ue(), bits.flag()
            return frames if exact or not frames else None
    return None


def _format(bits: Bits) -> tuple[int, bool]:
    """Read chroma_format_idc to the scaling lists; returns the format and separate_colour_plane."""
    chroma = bits.at_most(3, "chroma_format_idc")
    separate = chroma == 3 and bits.flag()
    bits.ue()
    bits.ue()
    bits.u(1)
    if bits.flag():
        for n in range(12 if chroma == 3 else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if n < 6 else 64)
    return chroma, separate


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = step = 8
    for _ in range(size):
        if step:
            step = (last + bits.se()) % 256
        last = step or last


def _order(bits: Bits) -> tuple[int, int]:
    """Return pic_order_cnt_type, and the number of bits of pic_order_cnt_lsb."""
    kind = bits.at_most(2, "pic_order_cnt_type")
    if kind == 0:
        return kind, bits.at_most(12, "log2_max_pic_order_cnt_lsb_minus4") + 4
    if kind == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(bits.at_most(255, "num_ref_frames_in_pic_order_cnt_cycle")):
            bits.se()
    return kind, 0


def _reorder_frames(bits: Bits) -> int | None:
    """Return max_num_reorder_frames of the VUI (annex E.1.1); None if it does not say.

    Some cameras write a VUI that is too short. Decoders accept it, so it is no error here.
    """
    try:
        return _read_vui(bits) if bits.flag() else None
    except UndecodableFrameError:
        return None


def _read_vui(bits: Bits) -> int | None:
    if bits.flag() and bits.u(8) == _EXTENDED_SAR:
        bits.u(32)
    if bits.flag():
        bits.u(1)
    if bits.flag():
        bits.u(4)
        if bits.flag():
            bits.u(24)
    if bits.flag():
        bits.ue()
        bits.ue()
    if bits.flag():
        bits.u(65)
    buffers = 0
    for _ in range(2):
        if bits.flag():
            _skip_hrd(bits)
            buffers += 1
    if buffers:
        bits.u(1)
    bits.u(1)
    if not bits.flag():
        return None
    bits.u(1)
    for _ in range(4):
        bits.ue()
    return bits.at_most(16, "max_num_reorder_frames")


def _skip_hrd(bits: Bits) -> None:
    count = bits.at_most(31, "cpb_cnt_minus1") + 1
    bits.u(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.u(1)
    bits.u(20)
