"""Puts access units into RTP packets: H.264 by RFC 6184, H.265 by RFC 7798."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.cameras.films import Codec, nal_kind

PAYLOAD_TYPE = 96
CLOCK_HZ = 90_000
SSRC = 0x4C54

_STAP_A, _FU_A = 24, 28  # H.264
_AP, _FU = 48, 49  # H.265


@dataclass(frozen=True, slots=True)
class Packing:
    """How NAL units are put into packets of at most `mtu` bytes.

    A larger one is cut into fragments. `joined`: small ones that follow each other share a packet.
    """

    mtu: int = 1400
    joined: bool = False


def payloads(codec: Codec, nals: Sequence[bytes], packing: Packing) -> Iterator[bytes]:
    """Yield the payloads of the packets of one access unit, in order."""
    together = list[bytes]()
    for nal in nals:
        if together and (not packing.joined or _joined_bytes([*together, nal]) > packing.mtu):
            yield _joined(codec, together)
            together = []
        if len(nal) > packing.mtu:
            yield from _fragments(codec, nal, packing.mtu)
        else:
            together.append(nal)
    if together:
        yield _joined(codec, together)


def rtp_packet(payload: bytes, *, seq: int, stamp: int, last: bool) -> bytes:
    """Return a packet; `last` of its access unit: it has the marker bit."""
    kind = PAYLOAD_TYPE | (0x80 if last else 0)
    header = struct.pack(">BBHII", 0x80, kind, seq & 0xFFFF, stamp & 0xFFFFFFFF, SSRC)
    return header + payload


def _joined_bytes(nals: Sequence[bytes]) -> int:
    return 2 + sum(2 + len(nal) for nal in nals)


def _joined(codec: Codec, nals: Sequence[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    if codec == "h264":
        head = bytes([max(nal[0] & 0x60 for nal in nals) | _STAP_A])
    else:
        head = bytes([_AP << 1, min(nal[1] for nal in nals)])
    return head + b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)


def _fragments(codec: Codec, nal: bytes, mtu: int) -> Iterator[bytes]:
    head_bytes = 1 if codec == "h264" else 2
    if codec == "h264":
        head = bytes([nal[0] & 0xE0 | _FU_A])
    else:
        head = bytes([nal[0] & 0x81 | _FU << 1, nal[1]])
    step, body = mtu - len(head) - 1, nal[head_bytes:]
    for at in range(0, len(body), step):
        first, last = at == 0, at + step >= len(body)
        mark = (0x80 if first else 0) | (0x40 if last else 0)
        yield head + bytes([mark | nal_kind(codec, nal)]) + body[at : at + step]
