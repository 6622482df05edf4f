"""Decodes one stream of H.264 or H.265 to pictures in presentation order, and leaves out the rest.

This is the decoder of cameras and files. `strict_decoder` is the one of single stored units.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.first_slice import Codec
from pipeline.media.video.followed_chains import (
    FollowedChain,
    FollowedH264,
    FollowedH265,
    FollowedLink,
)
from pipeline.media.video.orientation import Orientation
from pipeline.media.video.outcomes import Broken, Decoded, Outcome, Unkeyed
from pipeline.media.video.regrouping import TimedUnit
from pipeline.media.video.strictness import (
    ERRORS,
    ERRORS_AFTER_RECOVERY,
    make_strict,
    renewed,
)

MOST_REORDERED = 16  # pictures, in H.264 and H.265


@dataclass(frozen=True, slots=True)
class _Due:
    """A unit whose picture is to come."""

    unit: TimedUnit
    key: bool
    orientation: int | None  # that its message asks for


class UnitDecoder:
    """Decodes the units of one stream. A picture can come some units after its own.

    Each frame has one outcome. After a broken unit no picture is handed on until a new chain of
    units begins (`FollowedChain`). Pictures have the time stamps of their units, and come in
    presentation order; each waits until all pictures decoded before it are known to be good. Their
    decode times are those of the units, in order: some containers have no other times.
    `decoder` is a new one of libav, which has the container's parameters; `sets` are the parameter
    sets of the container, in Annex B. One thread at a time.
    """

    def __init__(self, codec: Codec, decoder: VideoCodecContext, *, sets: bytes = b"") -> None:
        self._decoder = decoder
        self._chain: FollowedChain
        self._chain = FollowedH264(sets) if codec == "h264" else FollowedH265(sets)
        self._number = 0  # of the newest frame
        self._waiting: dict[int, _Due] = {}  # by number
        self._ready = deque[tuple[int, Decoded | None]]()  # None: it is not shown
        self._orientation = Orientation()
        self._decode_times: list[int] = []  # a heap: of units whose pictures are to come

    @property
    def sets(self) -> bytes:
        """The newest parameter sets of the stream, in Annex B."""
        return self._chain.sets

    def feed(self, unit: TimedUnit) -> Sequence[Outcome]:
        """Decode one unit; returns what is known now, of this unit and of those before."""
        content = None if unit.damaged else unit.content
        return [*self._end_half(content), *self._feed(unit)]

    def _feed(self, unit: TimedUnit) -> Sequence[Outcome]:
        try:
            if unit.damaged:
                raise UndecodableFrameError("a part of it was lost on the way")
            link = self._chain.follow(unit.content)
        except UndecodableFrameError as exc:
            return self._break(str(exc), first_bad=self._number + 1)
        if link is None:
            return [Unkeyed()]
        due = list[Outcome]()
        if link.new:
            if self._number:
                due = self._drain()
                self._decoder = renewed(self._decoder)
                self._decode_times.clear()
            errors = ERRORS_AFTER_RECOVERY if link.recovers else ERRORS
            make_strict(self._decoder, errors=errors)
        return [*due, *self._decode(unit, link)]

    def end(self) -> Sequence[Outcome]:
        """End the stream; returns the outcomes that are still due."""
        return [*self._end_half(None), *self._drain()]

    def _end_half(self, content: bytes | None) -> list[Outcome]:
        if not self._chain.lacks_field(content):
            return []
        return self._break("a field of its picture is missing", first_bad=self._number)

    def _drain(self) -> list[Outcome]:
        """End the part of the stream that was decoded so far."""
        outcomes = list[Outcome]()
        if self._waiting:
            try:
                bad = self._store(self._decoder.decode(None))
            except (av.FFmpegError, ValueError, MemoryError):
                bad = None
            if bad is not None:
                outcomes += self._drop("its picture is damaged", bad)
        outcomes += [Broken("no picture came of it") for _ in self._waiting]
        self._waiting = {}
        return [*self._release(), *outcomes]

    def _decode(self, unit: TimedUnit, link: FollowedLink) -> list[Outcome]:
        outcomes = list[Outcome]()
        if not link.again:
            self._number += 1
            if link.usable:
                self._waiting[self._number] = _Due(unit, link.key, link.orientation)
                if unit.dts is not None:
                    heappush(self._decode_times, unit.dts)
            else:
                outcomes.append(Unkeyed())
        try:
            pictures = self._decoder.decode(self._packet(unit, link))
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            if link.usable:
                outcomes += self._break(f"does not decode ({type(exc).__name__})")
            return outcomes
        bad = self._store(pictures)
        if bad is not None:
            return outcomes + self._break("its picture is damaged", first_bad=bad)
        return outcomes + self._release()

    def _packet(self, unit: TimedUnit, link: FollowedLink) -> "av.Packet[Any]":
        content = unit.content if unit.payload is None else unit.payload
        if link.new and unit.payload is None:
            content = self._chain.sets + content
        packet = av.Packet(content)
        packet.pts = packet.dts = self._number
        return packet

    def _store(self, pictures: Sequence[av.VideoFrame]) -> int | None:
        """Store pictures until all before them are known; returns the number of a damaged one."""
        for picture in pictures:
            number = -1 if picture.pts is None else picture.pts
            if picture.is_corrupt and number in self._waiting:
                return number
            due = self._waiting.pop(number, None)
            if due is not None:
                picture.pts = due.unit.pts
                picture.dts = heappop(self._decode_times) if self._decode_times else None
                if due.unit.time_base is not None:
                    picture.time_base = due.unit.time_base
                turn = self._orientation.of(picture, message=due.orientation)
                decoded = Decoded(picture, key=due.key, orientation=turn)
                self._ready.append((number, decoded if due.unit.shown else None))
        return None

    def _release(self) -> list[Outcome]:
        """Return the pictures, in presentation order, before which all were good."""
        outcomes = list[Outcome]()
        while self._ready:
            number, picture = self._ready[0]
            if next(iter(self._waiting), number) < number:
                if len(self._ready) <= MOST_REORDERED:
                    break
                del self._waiting[next(iter(self._waiting))]
                outcomes.append(Broken("no picture came of it"))
                continue
            self._ready.popleft()
            if picture is not None:
                outcomes.append(picture)
        return outcomes

    def _break(self, words: str, *, first_bad: int | None = None) -> list[Outcome]:
        """End the chain at a frame, by default the newest."""
        self._chain.end()
        bad = self._number if first_bad is None else first_bad
        dropped = self._drop(words, bad)
        return [*self._drain(), *dropped]

    def _drop(self, words: str, bad: int) -> list[Outcome]:
        """Drop frame `bad` and all that were decoded after it: they can be predicted from it."""
        late = [number for number in self._waiting if number > bad]
        late += [number for number, _ in self._ready if number > bad]
        self._waiting = {n: unit for n, unit in self._waiting.items() if n < bad}
        self._ready = deque(one for one in self._ready if one[0] < bad)
        return [Broken(words), *(Broken("it follows a damaged picture") for _ in late)]
