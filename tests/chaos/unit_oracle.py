"""Says which units of H.264 have a picture: from the rules of the format, not by the worker's code.

It shares with the worker `StrictDecoder`, which decides about one unit after the other of one
group. Where groups begin and end, what is repeated and what is too old is decided here again: one
record after the other, with a decoder for each stream that is never closed, moved or restored.
Only the limit of bytes of a group is left out: no camera here comes near it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.media.video.outcomes import Broken, Decoded, Unkeyed
from pipeline.media.video.strict_decoder import StrictDecoder

PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
H264 = b"video/h264"
IDR, SPS, PPS = 5, 7, 8


def is_unit(value: bytes | None, headers: Mapping[str, bytes]) -> bool:
    """Return whether a record's value is a unit of H.264.

    The first bytes of a picture win over the content type, which cameras here write in one way.
    """
    return headers.get("content-type") == H264 and not (value or b"").startswith(PICTURES)


@dataclass(slots=True)
class UnitGroup:
    """A keyframe and the good units after it. Log times are those of the partition."""

    began_ms: int
    epoch: int | None
    seq: int | None = None  # of the newest good unit
    decoder: StrictDecoder = field(default_factory=lambda: StrictDecoder("h264"))

    def repeats(self, seq: int | None, epoch: int | None) -> bool:
        """Whether a unit is from before, by its numbers."""
        older = epoch is not None and self.epoch is not None and epoch < self.epoch
        return older or (seq is not None and self.seq is not None and seq <= self.seq)


class UnitGroups:
    """The present group of each stream of one partition."""

    def __init__(self, keyframe_s: float) -> None:
        self._most_ms = int(keyframe_s * 1e3)
        self._groups: dict[str, UnitGroup] = {}

    def end(self, stream: str) -> None:
        """End the group of a stream: its next unit needs a keyframe."""
        self._groups.pop(stream, None)

    def decode(
        self, stream: str, unit: bytes, now_ms: int, *, seq: int | None, epoch: int | None
    ) -> Decoded | str:
        """Return the picture of the stream's next unit, or the fate of a unit that has none."""
        key = begins_with_keyframe(unit)
        group = self._groups.get(stream)
        if group is not None and not key and now_ms - group.began_ms > self._most_ms:
            self.end(stream)
            group = None
        if group is None and not key:
            return "dead_lettered" if isinstance(_alone(unit), Broken) else "unkeyed"
        if group is not None and group.repeats(seq, epoch):
            return "dead_lettered"
        if group is None or key:
            group = self._groups[stream] = UnitGroup(now_ms, epoch)
        outcome = group.decoder.feed(unit, seq=seq)
        if isinstance(outcome, Decoded):
            group.seq = seq
            return outcome
        self.end(stream)
        return "unkeyed" if isinstance(outcome, Unkeyed) else "dead_lettered"


def begins_with_keyframe(unit: bytes) -> bool:
    """Return whether the first slice is of an IDR picture, with SPS and PPS before it."""
    kinds = [nal[0] & 31 for nal in unit.split(b"\x00\x00\x01")[1:] if nal]
    first = next((at for at, kind in enumerate(kinds) if 1 <= kind <= IDR), None)
    return first is not None and kinds[first] == IDR and {SPS, PPS} <= set(kinds[:first])


def _alone(unit: bytes) -> Decoded | Broken | Unkeyed:
    """Decode a unit with no other before it."""
    return StrictDecoder("h264").feed(unit)
