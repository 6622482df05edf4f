"""Makes access units of libav's packets: a packet is not always one.

If a server repeats the parameter sets before each slice of a keyframe, libav ends a packet at each
of them. Decoded on their own, such pieces give smeared pictures. In H.265 libav also puts the
picture after the keyframe into the packet of its last piece.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from pipeline.media.video.first_slice import Codec, FirstSlice, first_slice, next_picture

MAX_HELD_BYTES = 16 * 1024 * 1024  # of packets that are held back; more are not joined


@dataclass(frozen=True, slots=True)
class TimedUnit:
    """One access unit with the time stamps of its packet.

    `content` is Annex B; `payload` are the bytes for the decoder, if they differ (MP4). `damaged`:
    the demuxer knows that a part was lost. `shown` is False if the file says that the picture is
    only needed by others.
    """

    content: bytes
    pts: int | None = None
    dts: int | None = None
    time_base: Fraction | None = None
    damaged: bool = False
    shown: bool = True
    payload: bytes | None = None


class Regrouper:
    """Joins the pieces of one stream in Annex B. Only keyframes are split, so only they wait.

    A picture that is taken out of the packet of another has no time stamps.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._held: TimedUnit | None = None  # a keyframe, or what comes before a picture

    def add(self, packet: TimedUnit) -> Iterator[TimedUnit]:
        """Add a packet; yields the units that are complete now."""
        first = first_slice(self._codec, packet.content)
        if first is None or first.begins:
            yield from self._add(packet, first)
            return
        at = next_picture(self._codec, packet.content)
        yield from self._add(replace(packet, content=packet.content[:at]), first)
        if at < len(packet.content):
            rest = replace(packet, content=packet.content[at:], pts=None, dts=None)
            yield from self._add(rest, first_slice(self._codec, rest.content))

    def _add(self, packet: TimedUnit, first: FirstSlice | None) -> Iterator[TimedUnit]:
        held, self._held = self._held, None
        if held is not None:
            begun = first_slice(self._codec, held.content)
            if _belongs(held, begun, packet, first):
                timed = packet if begun is None or held.pts is None else held
                packet = _joined(held, packet, timed=timed)
                first = first if begun is None else begun
            else:
                yield held
        if first is None or first.key:
            self._held = packet
        else:
            yield packet

    def end(self) -> Iterator[TimedUnit]:
        """Yield the unit that is held back at the end of the stream."""
        held, self._held = self._held, None
        if held is not None:
            yield held


def _belongs(
    held: TimedUnit, begun: FirstSlice | None, packet: TimedUnit, first: FirstSlice | None
) -> bool:
    if len(held.content) + len(packet.content) > MAX_HELD_BYTES:
        return False
    if begun is None:  # parameter sets, say, that come before a picture
        return True
    return first is not None and first.key and not first.begins


def _joined(held: TimedUnit, packet: TimedUnit, *, timed: TimedUnit) -> TimedUnit:
    damaged = held.damaged or packet.damaged
    return replace(timed, content=held.content + packet.content, damaged=damaged)
