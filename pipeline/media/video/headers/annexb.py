"""Splits an access unit into NAL units, and rewrites length prefixes (MP4, MKV) as start codes.

Annex B is the form of H.264 and H.265 in which each NAL unit follows a start code 00 00 01.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.errors import UndecodableFrameError
from pipeline.wire.units import MAX_NALS, START_CODE

MAX_SETS = 64  # parameter sets in one access unit; cameras send two or three
START = b"\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Framing:
    """How the packets of a stream hold NAL units, and the parameter sets beside the stream.

    `length_bytes` is the size of the length before each NAL unit; 0: start codes. `sets` is
    Annex B, empty if all parameter sets are in the stream.
    """

    length_bytes: int
    sets: bytes

    @classmethod
    def of(cls, codec: str, extradata: bytes) -> "Framing":
        """Read the extradata of a stream: an avcC or hvcC box, Annex B, or nothing.

        Raises `UndecodableFrameError`.
        """
        if not extradata or extradata.startswith((b"\x00\x00\x01", START)):
            return cls(0, extradata)
        boxes = _avcc(extradata) if codec == "h264" else _hvcc(extradata)
        return cls(*boxes)

    def annexb(self, packet: bytes) -> bytes:
        """Return a packet in Annex B. Raises `UndecodableFrameError` if its lengths do not fit."""
        if not self.length_bytes or packet.startswith(START):  # AVI has both
            return packet
        parts, at = list[bytes](), 0
        while at < len(packet):
            length = int.from_bytes(packet[at : at + self.length_bytes])
            at += self.length_bytes
            if not 0 < length <= len(packet) - at or len(parts) >= 2 * MAX_NALS:
                raise UndecodableFrameError(f"a unit of {len(packet)} bytes that is cut off")
            parts += (START, packet[at : at + length])
            at += length
        return b"".join(parts)

    def with_sets(self, packet: bytes, sets: bytes) -> bytes:
        """Return a packet with parameter sets, given in Annex B, before its own NAL units."""
        if not self.length_bytes or packet.startswith(START):
            return sets + packet
        found = [sets[begin:end].rstrip(b"\x00") for begin, end in nals(sets)]
        return b"".join([len(one).to_bytes(self.length_bytes) + one for one in found]) + packet


def nals(content: bytes) -> list[tuple[int, int]]:
    """Return where each NAL unit begins (its header) and ends. Zeros may follow it before the end.

    Raises `UndecodableFrameError` if `content` is not Annex B.
    """
    if not content.startswith((b"\x00\x00\x01", START)):
        raise UndecodableFrameError(f"{len(content)} bytes that do not begin with a start code")
    begins = list[int]()
    for found in START_CODE.finditer(content):
        begins.append(found.end())
        if len(begins) > MAX_NALS:
            raise UndecodableFrameError(f"a unit of more than {MAX_NALS} NAL units")
    ends = [one - 3 for one in begins[1:]] + [len(content)]
    spans = zip(begins, ends, strict=True)
    return [(begin, end) for begin, end in spans if begin < end]


def heads(content: bytes) -> Iterator[bytes]:
    """Yield the first three bytes of each NAL unit, of `MAX_NALS` at most."""
    for found in islice(START_CODE.finditer(content), MAX_NALS):
        yield content[found.end() : found.end() + 3]


def _avcc(box: bytes) -> tuple[int, bytes]:
    """Read an avcC box (ISO/IEC 14496-15 5.3.3.1)."""
    found, at = list[bytes](), 5
    for mask in (0x1F, 0xFF):  # SPS, then PPS
        count = _byte(box, at) & mask
        at = _take(box, at + 1, count, found)
    return (_byte(box, 4) & 3) + 1, b"".join(START + one for one in found)


def _hvcc(box: bytes) -> tuple[int, bytes]:
    """Read a hvcC box (ISO/IEC 14496-15 8.3.3.1)."""
    found, at = list[bytes](), 23
    for _ in range(_byte(box, 22)):
        count = int.from_bytes(box[at + 1 : at + 3])
        at = _take(box, at + 3, count, found)
    return (_byte(box, 21) & 3) + 1, b"".join(START + one for one in found)


def _take(box: bytes, at: int, count: int, found: list[bytes]) -> int:
    """Append `count` parameter sets, each after its length of two bytes; returns where they end."""
    for _ in range(count):
        length = int.from_bytes(box[at : at + 2])
        at += 2 + length
        if not length or at > len(box) or len(found) >= MAX_NALS:
            raise UndecodableFrameError(f"parameter sets of {len(box)} bytes that are cut off")
        found.append(box[at - length : at])
    return at


def _byte(box: bytes, at: int) -> int:
    if at >= len(box):
        raise UndecodableFrameError(f"parameter sets of {len(box)} bytes that are cut off")
    return box[at]
