"""One input record from its arrival until it has its fate."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from engines.base import InputArray
from pipeline.errors import RecordError, UndecodableFrameError, UnkeyedFrameError
from pipeline.media.video.lanes.unit_chain import UnitError, UnitResult
from pipeline.media.video.lanes.unit_lane import UnitJob
from pipeline.records import BadRecord, Fate, Frame, Outgoing, ParsedRecord
from pipeline.streams.admission import Verdict
from pipeline.streams.stream import Stream
from pipeline.wire.predictions import Answer


@dataclass(slots=True)
class Item:
    """A record in the frame path: admission's verdict, the decoded input, and at the end its fate.

    Only its own methods write its fields. One owner thread; decoders only resolve futures: `input`
    of a frame, that of `unit` of a unit of H.264, which is decoded whatever its fate.
    """

    record: ParsedRecord
    absent: int  # offsets just before it that hold no record
    stream: Stream | None = None
    verdict: Verdict | None = None
    input: Future[InputArray] | None = None
    unit: UnitJob | None = None
    steps: bool = False  # it is a frame that the engine steps once it is decoded
    pick: int | None = None  # its index in its batch's features, once it is encoded
    deferred: bool = False  # its stream has no memory yet: it is judged when it is taken
    unwanted: bool = False  # it is skipped if admission lets it through
    refusal: RecordError | None = None  # why a stream without memory does not begin with it
    fate: Fate | None = None
    answer: Answer | None = None
    held_us: int | None = None  # how long the previous label lasted, if this answer changed it
    prediction: Outgoing | None = None
    events: tuple[Outgoing, ...] = ()
    letter: Callable[[], Outgoing] | None = None  # makes its dead letter, which may be left out

    @property
    def size(self) -> int:
        """Bytes of memory that the record takes while it waits."""
        if isinstance(self.record, Frame):
            return len(self.record.content)
        return self.record.record.size if isinstance(self.record, BadRecord) else 0

    @property
    def ready(self) -> bool:
        """Whether its decode has finished, or it has none."""
        return self.decoding is None or self.decoding.done()

    @property
    def decoding(self) -> Future[InputArray] | Future[UnitResult] | None:
        """The result of its decode; None if it has none."""
        return self.input if self.unit is None else self.unit.future

    @property
    def failure(self) -> UnitError | None:
        """Why a decoded frame could not be decoded; None if it could, or was not tried."""
        if self.unit is not None and self.unit.future.exception() is None:
            return self.unit.future.result().error
        failure = None if self.input is None else self.input.exception()
        return failure if isinstance(failure, UndecodableFrameError) else None

    @property
    def let_through(self) -> Frame | None:
        """The frame, if admission let it through and it has no input yet; None otherwise."""
        waits = self.fate is None and self.input is None
        return self.record if waits and isinstance(self.record, Frame) else None

    @property
    def undecoded(self) -> Frame | None:
        """The frame whose decode is to be submitted; None for units, which lanes decode."""
        frame = self.let_through
        return None if frame is None or frame.unit else frame

    @property
    def submitted(self) -> bool:
        """Whether a decoder had to be asked for it."""
        return self.input is not None or (self.unit is not None and not self.unit.refused)

    @property
    def outgoing(self) -> Outgoing | None:
        """Its prediction or its dead letter; None if it has neither."""
        return self.prediction if self.letter is None else self.letter()

    @property
    def final_fate(self) -> Fate:
        """How the record ended. Raises AssertionError before that."""
        if self.fate is None:
            raise AssertionError(f"offset {self.record.offset} has no fate")
        return self.fate

    def refuse(self) -> None:
        """Set the fate of an unreadable record; its dead letter is written with its batch."""
        self.fate = Fate.DEAD_LETTERED

    def defer(self) -> None:
        """Leave the verdict open until the record is taken into a batch."""
        self.deferred = True

    def judge(self, stream: Stream, verdict: Verdict) -> None:
        """Set the stream and admission's verdict."""
        self.stream, self.verdict, self.fate = stream, verdict, verdict.fate
        self.deferred = False
        if verdict.fate is not None:
            self.steps = False  # a deferred frame may have been decoded
        elif self.unwanted:
            self.skip()

    def end(self) -> None:
        """End the end of a stream that has no memory."""
        self.fate, self.deferred = Fate.ENDED, False

    def turn_away(self, refusal: UnitError) -> None:
        """Set the fate of a frame with which no stream begins. Its letter is written later."""
        if isinstance(refusal, UnkeyedFrameError):
            self.fate = Fate.UNKEYED
        else:
            self.fate, self.refusal = Fate.DEAD_LETTERED, refusal
        self.deferred = self.steps = False

    def decode(self, decoded: Future[InputArray]) -> None:
        """Set the future of the input of a frame that is to be stepped."""
        self.input, self.steps = decoded, True

    def decode_in_lane(self, unit: UnitJob) -> None:
        """Set the job of a unit, whose picture is stepped if it is wanted."""
        self.unit, self.steps = unit, unit.wanted

    def decoded(self) -> InputArray:
        """Wait for the input array and return it. Raises what the decoder raised."""
        if self.unit is not None:
            return self.unit.pixels()
        if self.input is None:
            raise AssertionError(f"offset {self.record.offset} is not decoded")
        return self.input.result()

    def abandon(self) -> None:
        """Cancel its decode if that has not begun: nothing waits for it any more."""
        if self.input is not None:
            self.input.cancel()

    def skip(self) -> None:
        """End a frame as skipped for a newer one. Cancels its decode if that has not begun.

        A deferred frame is skipped only if admission lets it through when it is taken.
        """
        if self.deferred:
            self.unwanted = True
            return
        self.abandon()
        if self.unit is not None:
            self.unit.unwant()
        self.input, self.steps, self.fate = None, False, Fate.SKIPPED

    def leave_unkeyed(self) -> None:
        """End a unit that has no whole chain of units before it."""
        self.steps, self.fate = False, Fate.UNKEYED

    def leave_out(self) -> None:
        """Skip a deferred frame whose stream has no memory."""
        self.deferred = False
        self.skip()

    def encode(self, pick: int) -> None:
        """Set the frame's index in its batch's features."""
        self.pick = pick

    def predict(self, answer: Answer, outgoing: Outgoing, *, held_us: int | None) -> None:
        """End a frame with its prediction."""
        self.fate, self.answer, self.held_us = Fate.PREDICTED, answer, held_us
        self.prediction = outgoing

    def cause(self, events: tuple[Outgoing, ...]) -> None:
        """Set the events that it caused."""
        self.events = events

    def dead_letter(self, letter: Callable[[], Outgoing]) -> None:
        """End a record with its dead letter, which is made only if it is written."""
        self.fate, self.letter = Fate.DEAD_LETTERED, letter
