"""One input record between its arrival and its end."""

from concurrent.futures import Future
from dataclasses import dataclass

from engines.base import Pixels
from pipeline.records import BadRecord, Fate, Frame, Outgoing, ParsedRecord
from pipeline.streams.admission import Verdict
from pipeline.streams.stream import Stream
from pipeline.wire.predictions import Answer


@dataclass(slots=True)
class Item:
    """A record on its way: what admission said, its pixels to come, and in the end its fate.

    Only its own methods write its fields. One owner thread; the decoders know its future only.
    """

    record: ParsedRecord
    absent: int  # offsets before it that hold no record
    stream: Stream | None = None
    verdict: Verdict | None = None
    pixels: Future[Pixels] | None = None
    steps: bool = False  # a frame that the engine is to step over, once it is decoded
    pick: int | None = None  # its line of its batch's features, once it is encoded
    fate: Fate | None = None
    answer: Answer | None = None
    held_us: int | None = None  # if the answer is a new one: how long the one before it held
    outgoing: Outgoing | None = None

    @property
    def size(self) -> int:
        """Bytes that the record holds in memory while it waits."""
        if isinstance(self.record, Frame):
            return len(self.record.content)
        return self.record.record.size if isinstance(self.record, BadRecord) else 0

    @property
    def ready(self) -> bool:
        """Whether nothing is left to wait for before its turn."""
        return self.pixels is None or self.pixels.done()

    @property
    def undecoded(self) -> Frame | None:
        """The frame, where admission has let one through and no decoder has it yet."""
        waits = self.fate is None and self.pixels is None
        return self.record if waits and isinstance(self.record, Frame) else None

    @property
    def final_fate(self) -> Fate:
        """How the record ended. Raises AssertionError before it has."""
        if self.fate is None:
            raise AssertionError(f"offset {self.record.offset} has no fate")
        return self.fate

    def refuse(self) -> None:
        """End a record that cannot be read: it is dead-lettered with its batch."""
        self.fate = Fate.DEAD_LETTERED

    def judge(self, stream: Stream, verdict: Verdict) -> None:
        """Set what admission said of a record of `stream`."""
        self.stream, self.verdict, self.fate = stream, verdict, verdict.fate

    def decode(self, pixels: Future[Pixels]) -> None:
        """Set where the pixels of a frame that is to be stepped will be."""
        self.pixels, self.steps = pixels, True

    def decoded(self) -> Pixels:
        """Wait for the pixels (H, W, 3). Raises what the decoder raised."""
        if self.pixels is None:
            raise AssertionError(f"offset {self.record.offset} is not decoded")
        return self.pixels.result()

    def skip(self) -> None:
        """Leave a frame out for a newer one. Its decoding is cancelled if it has not begun."""
        if self.pixels is not None:
            self.pixels.cancel()
        self.pixels, self.steps, self.fate = None, False, Fate.SKIPPED

    def encode(self, pick: int) -> None:
        """Set which line of its batch's features is the frame's."""
        self.pick = pick

    def predict(self, answer: Answer, outgoing: Outgoing, *, held_us: int | None) -> None:
        """End a frame with its prediction."""
        self.fate, self.answer, self.held_us = Fate.PREDICTED, answer, held_us
        self.outgoing = outgoing

    def dead_letter(self, outgoing: Outgoing) -> None:
        """End a record with its dead letter."""
        self.fate, self.outgoing = Fate.DEAD_LETTERED, outgoing
