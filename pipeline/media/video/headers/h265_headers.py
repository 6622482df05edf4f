"""The fields of H.265 headers that detecting loss needs (ITU-T H.265 clauses 7.3.1.2, 7.3.2.2).

Reference picture sets are not read here: libav reports each picture of such a set that is missing.
"""

from dataclasses import dataclass

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.headers.bits import Bits

RASL = (8, 9)
IRAP = range(16, 22)  # BLA, IDR, CRA: decoding can begin here
BLA = range(16, 19)
VCL = range(32)
VPS, SPS, PPS = 32, 33, 34
SETS = (VPS, SPS, PPS)
CHECKSUM_BYTES = 64  # the longest checksum of a picture, three MD5 sums, has 54 with its headers

_DELIMITER, PREFIX_SEI, _SUFFIX_SEI = 35, 39, 40
BEFORE_PICTURE = frozenset({*SETS, _DELIMITER, PREFIX_SEI, *range(41, 45), *range(48, 56)})
_PICTURE_HASH = 132  # the type of an SEI message


@dataclass(frozen=True, slots=True)
class H265Sequence:
    """The fields of a sequence parameter set."""

    width: int
    height: int
    reorder_pictures: int


def nal_type(nal: bytes) -> int:
    """Return the type of a NAL unit; -1 if it belongs to an enhancement layer, or has no header."""
    if len(nal) < 3 or nal[0] & 1 or nal[1] >> 3:
        return -1
    return nal[0] >> 1 & 63


def begins_picture(nal: bytes) -> bool:
    """Whether a slice is the first of its picture: first_slice_segment_in_pic_flag."""
    return len(nal) > 2 and nal[2] & 0x80 != 0


def is_checksum(nal: bytes) -> bool:
    """Whether a NAL unit begins with the checksum of its picture, and has all of it."""
    begins = len(nal) > 4 and nal[0] >> 1 == _SUFFIX_SEI and nal[2] == _PICTURE_HASH
    return begins and len(nal) > 4 + nal[3]


def read_sps(nal: bytes) -> H265Sequence:
    """Read an SPS, with its NAL header. Raises `UndecodableFrameError`."""
    bits = Bits(nal[2:])
    bits.u(4)
    layers = bits.u(3)  # sps_max_sub_layers_minus1
    bits.u(1)
    _skip_levels(bits, layers)
    bits.at_most(15, "sps_seq_parameter_set_id")
    chroma = bits.at_most(3, "chroma_format_idc")
    if chroma == 3:
        bits.u(1)
    width, height = bits.ue(), bits.ue()
    left, right, top, bottom = (bits.ue() for _ in range(4)) if bits.flag() else (0, 0, 0, 0)
    width -= (2 if chroma in (1, 2) else 1) * (left + right)
    height -= (2 if chroma == 1 else 1) * (top + bottom)
    if width <= 0 or height <= 0:
        raise UndecodableFrameError(f"an SPS of {width} x {height} pixels")
    bits.ue()
    bits.ue()
    bits.ue()
    reorder = 0
    for _ in range(layers + 1 if bits.flag() else 1):
        bits.ue()
        reorder = bits.at_most(16, "sps_max_num_reorder_pics")
        bits.ue()
    return H265Sequence(width, height, reorder)


def _skip_levels(bits: Bits, layers: int) -> None:
    """Skip profile_tier_level (clause 7.3.3)."""
    bits.u(96)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.u(2 * (8 - layers))
    for profile, level in present:
        bits.u(88 if profile else 0)
        bits.u(8 if level else 0)
