"""Makes access units of libav's packets: a packet is not always one.

If a server repeats the parameter sets before each slice of a keyframe, libav ends a packet at each
of them. Decoded on their own, such pieces give smeared pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from pipeline.media.video.headers import h264_headers, h265_headers
from pipeline.media.video.headers.annexb import heads

Codec = Literal["h264", "hevc"]  # the names of libav

MAX_HELD_BYTES = 16 * 1024 * 1024  # of packets that are held back; more are not joined


@dataclass(frozen=True, slots=True)
class TimedUnit:
    """One access unit with the time stamp of its packet.

    `content` is Annex B; `payload` are the bytes for the decoder, if they differ (MP4). `damaged`:
    the demuxer knows that a part was lost. `shown` is False if the file says that the picture is
    only needed by others.
    """

    content: bytes
    pts: int | None = None
    time_base: Fraction | None = None
    damaged: bool = False
    shown: bool = True
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """What the first slice of a packet says. `picture`: there is one; `key`: of a keyframe."""

    picture: bool
    begins: bool
    key: bool


class Regrouper:
    """Joins the pieces of one stream in Annex B. Only keyframes are split, so only they wait."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._held: TimedUnit | None = None  # a keyframe, or what comes before a picture

    def add(self, packet: TimedUnit) -> Iterator[TimedUnit]:
        """Add a packet; yields the units that are complete now."""
        held, self._held = self._held, None
        if held is not None:
            if self._belongs(held, packet):
                packet = _joined(held, packet, timed=held if self._piece(held).picture else packet)
            else:
                yield held
        piece = self._piece(packet)
        if piece.key or not piece.picture:
            self._held = packet
        else:
            yield packet

    def end(self) -> Iterator[TimedUnit]:
        """Yield the unit that is held back at the end of the stream."""
        held, self._held = self._held, None
        if held is not None:
            yield held

    def _belongs(self, held: TimedUnit, packet: TimedUnit) -> bool:
        if len(held.content) + len(packet.content) > MAX_HELD_BYTES:
            return False
        piece = self._piece(packet)
        if not self._piece(held).picture:
            return True
        return piece.picture and piece.key and not piece.begins

    def _piece(self, packet: TimedUnit) -> _Piece:
        return _h264_piece(packet) if self._codec == "h264" else _h265_piece(packet)


def _joined(held: TimedUnit, packet: TimedUnit, *, timed: TimedUnit) -> TimedUnit:
    damaged = held.damaged or packet.damaged
    return replace(timed, content=held.content + packet.content, damaged=damaged)


def _h264_piece(packet: TimedUnit) -> _Piece:
    for head in heads(packet.content):
        kind = head[0] & 31 if head else 0
        if kind in (h264_headers.SLICE, h264_headers.IDR):
            begins = h264_headers.begins_picture(head)
            return _Piece(picture=True, begins=begins, key=kind == h264_headers.IDR)
    return _Piece(picture=False, begins=False, key=False)


def _h265_piece(packet: TimedUnit) -> _Piece:
    for head in heads(packet.content):
        kind = h265_headers.nal_type(head)
        if kind in h265_headers.VCL:
            begins = h265_headers.begins_picture(head)
            return _Piece(picture=True, begins=begins, key=kind in h265_headers.IRAP)
    return _Piece(picture=False, begins=False, key=False)
