"""Turns records of the frames topic back into pictures, for any consumer: records in, pictures out.

The caller reads the records, from a log or a file; nothing here needs a Kafka, a model or a worker.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.pictures import Fit, decode_upright, fit_frame
from pipeline.media.showing.display import shown
from pipeline.media.video.outcomes import Broken, Outcome, Unkeyed
from pipeline.media.video.strict_decoder import StrictDecoder
from pipeline.records import BadRecord, EndOfStream, Frame, ParsedRecord, Record
from pipeline.wire.frames import read_frame

MOST_DECODERS = 64  # open at the same time; one has 5 to 36 MB, by the size of its pictures
MOST_BYTES = 8 << 20  # of a record's value: the default of a worker's `max_frame_bytes`
RECENT_US = 300_000_000  # a capture time further away than this is that of a wrong clock
REPEAT_WINDOW = 64  # without capture times, a `seq` less far back than this is a repeat


class NoPicture(StrEnum):
    """Why a record gives no picture. The words are those of fates and of dead letters."""

    MALFORMED = "malformed"  # it breaks the wire contract
    UNDECODABLE = "undecodable"  # it is damaged, or does not follow the unit before it
    UNKEYED = "unkeyed"  # a unit without a whole chain of units from a keyframe on before it
    DUPLICATE = "duplicate"  # a unit that has come before
    LATE = "late"  # a unit of an earlier life of its camera
    ENDED = "ended"  # a null value: the end of the stream


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A record and its picture, upright and of its own size, or the reason why it has none.

    `frame` is None if the record is no frame. `words` say what is wrong with a record that is
    malformed or undecodable.
    """

    record: Record
    frame: Frame | None
    picture: av.VideoFrame | None = None
    reason: NoPicture | None = None
    words: str = ""

    def rgb(self) -> NDArray[np.uint8]:
        """Return the picture as RGB (H, W, 3), with the colours that a worker sees.

        Raises `ValueError` if there is none.
        """
        if self.picture is None:
            raise ValueError(f"record {self.record.offset} has no picture: {self.reason}")
        return fit_frame(self.picture, Fit(self.picture.height, self.picture.width, "stretch"))


class PictureReader:
    """Finds the picture of each record of the frames topic, in the order of each partition's log.

    Pictures (JPEG, PNG, WebP) and units of H.264 may be mixed, and any number of streams
    interleaved. A picture stands alone. A unit needs all units since its keyframe, so each record
    of a stream is to be given to `follow` or `pass_over`. After a unit that is missing or broken,
    and after the end of a stream, its units have no picture until the next keyframe.

    At most `most_decoders` streams of units have a decoder. For another one the decoder that was
    used least recently is closed; its stream continues with its next keyframe. One thread at a
    time.
    """

    def __init__(self, *, most_decoders: int = MOST_DECODERS, max_bytes: int = MOST_BYTES) -> None:
        self._most_decoders = most_decoders
        self._max_bytes = max_bytes
        self._chains: dict[tuple[int, str], _Chain] = {}  # the least recently used first
        self._closed = 0

    @property
    def decoders(self) -> int:
        """How many decoders are open."""
        return len(self._chains)

    @property
    def closed(self) -> int:
        """How many decoders were closed for lack of room."""
        return self._closed

    def follow(self, record: Record) -> FoundPicture:
        """Return the picture of the next record."""
        parsed = read_frame(record, max_bytes=self._max_bytes)
        if isinstance(parsed, Frame) and not parsed.unit:
            return _picture_of(record, parsed)
        return self._next(record, parsed)

    def pass_over(self, record: Record) -> None:
        """Take the next record, whose picture is not needed: only units are decoded."""
        parsed = read_frame(record, max_bytes=self._max_bytes)
        if not isinstance(parsed, Frame) or parsed.unit:
            self._next(record, parsed)

    def forget(self, partition: int) -> None:
        """Close the decoders of a partition, whose next record does not follow the last one."""
        self._chains = {place: one for place, one in self._chains.items() if place[0] != partition}

    def _next(self, record: Record, parsed: ParsedRecord) -> FoundPicture:
        match parsed:
            case BadRecord():
                return FoundPicture(record, None, reason=NoPicture.MALFORMED, words=parsed.error)
            case EndOfStream():
                self._chains.pop((parsed.partition, parsed.stream), None)
                return FoundPicture(record, None, reason=NoPicture.ENDED)
        place = parsed.partition, parsed.stream
        chain = self._chains.get(place)
        reason = None if chain is None else chain.refusal(parsed)
        if reason is not None:
            return FoundPicture(record, parsed, reason=reason)
        if chain is None or chain.is_left_by(parsed):
            chain = _Chain()
        outcome = chain.feed(parsed)
        self._keep(place, chain)
        return _picture_from(outcome, record, parsed)

    def _keep(self, place: tuple[int, str], chain: "_Chain") -> None:
        """Keep a chain that is whole as the one used last; another one has no decoder."""
        self._chains.pop(place, None)
        if chain.decoder.whole:
            self._chains[place] = chain
        if len(self._chains) > self._most_decoders:
            del self._chains[next(iter(self._chains))]
            self._closed += 1


@dataclass(slots=True)
class _Chain:
    """The decoder of one stream, and what its newest unit said of itself."""

    decoder: StrictDecoder = field(
        default_factory=lambda: StrictDecoder("h264", max_pixels=FRAME_PIXELS)
    )
    epoch: int | None = None
    seq: int | None = None
    captured_us: int = 0

    def refusal(self, frame: Frame) -> NoPicture | None:
        """Return why a unit must not reach the decoder: it has come before, or is too old."""
        recent = abs(frame.captured_us - self.captured_us) <= RECENT_US
        if frame.epoch is not None and frame.epoch != self.epoch:
            older = self.epoch is not None and frame.epoch < self.epoch
            return NoPicture.LATE if older and recent else None
        if frame.seq is None or self.seq is None or frame.seq > self.seq:
            return None
        repeated = frame.captured_us <= self.captured_us and recent
        if not frame.captured_given:
            repeated = repeated or self.seq - frame.seq < REPEAT_WINDOW
        return NoPicture.DUPLICATE if repeated else None

    def is_left_by(self, frame: Frame) -> bool:
        """Return whether the camera has started again: the unit belongs to another chain."""
        renewed = frame.epoch is not None and frame.epoch != self.epoch
        return renewed or (frame.seq is not None and self.seq is not None and frame.seq <= self.seq)

    def feed(self, frame: Frame) -> Outcome:
        """Decode the next unit."""
        self.epoch = self.epoch if frame.epoch is None else frame.epoch
        self.seq, self.captured_us = frame.seq, frame.captured_us
        return self.decoder.feed(frame.content, seq=frame.seq)


def _picture_of(record: Record, frame: Frame) -> FoundPicture:
    try:
        return FoundPicture(record, frame, decode_upright(frame.content))
    except UndecodableFrameError as exc:
        return FoundPicture(record, frame, reason=NoPicture.UNDECODABLE, words=str(exc))


def _picture_from(outcome: Outcome, record: Record, frame: Frame) -> FoundPicture:
    if isinstance(outcome, Unkeyed):
        return FoundPicture(record, frame, reason=NoPicture.UNKEYED)
    if isinstance(outcome, Broken):
        return FoundPicture(record, frame, reason=NoPicture.UNDECODABLE, words=outcome.words)
    try:
        return FoundPicture(record, frame, shown(outcome.picture, outcome.orientation))
    except UndecodableFrameError as exc:
        return FoundPicture(record, frame, reason=NoPicture.UNDECODABLE, words=str(exc))
