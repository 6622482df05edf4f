"""What one life of a partition has published, entered as it is read: every link, repeat, order."""

import zlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum

from pipeline.judging.chain import ChainReader, Fault
from pipeline.records import Record, Reset
from pipeline.wire.predictions import NEW_CHAIN, Prediction

TOLD = 100  # findings of a life that are kept in words; all are counted


class Wrong(StrEnum):
    """What can be wrong beyond a single link (`chain.Fault`)."""

    MISPLACED = "misplaced"  # in another partition than its frame, or not under its stream's key
    REPEATED = "repeated"  # published twice; in low_latency delivery: with other bytes
    BACKWARDS = "backwards"  # published after a later frame of its stream
    TWO_FATES = "two_fates"  # predicted, and dead-lettered or skipped as well
    LEDGER = "ledger"  # the fates do not add up to the offsets
    PREDICTED = "predicted"  # the log holds another number of predictions than the ledger
    DEAD_LETTERED = "dead_lettered"  # the same of dead letters
    ENDED = "ended"  # more streams began after an end than have ended
    SKIPPED = "skipped"  # more frames are left out than the changelog tells of
    MEMORY = "memory"  # a stream's memory goes on from another prediction than the last
    LIFE = "life"  # the manifest is of another life than the newest


@dataclass(frozen=True, slots=True)
class Finding:
    """One break. `offset` is the frame's where it is about one."""

    kind: str
    partition: int
    life: int
    message: str
    stream: str | None = None
    offset: int | None = None


class Published:
    """The frames of one stream that have been predicted, and the CRC of what was said of each.

    Sorted arrays: twelve bytes a prediction, for logs of many millions.
    """

    def __init__(self) -> None:
        self._offsets = array("q")
        self._crcs = array("I")
        self.chain = NEW_CHAIN  # of the last one

    def crc(self, offset: int) -> int | None:
        """The CRC of the prediction of a frame; None if there is none."""
        place = bisect_left(self._offsets, offset)
        found = place < len(self._offsets) and self._offsets[place] == offset
        return self._crcs[place] if found else None

    def enter(self, offset: int, chain: str, crc: int) -> bool:
        """Take note of a prediction. Tells whether it came in order: above all before it."""
        place = bisect_left(self._offsets, offset)
        self._offsets.insert(place, offset)
        self._crcs.insert(place, crc)
        last = place == len(self._offsets) - 1
        if last:
            self.chain = chain
        return last

    def between(self, first: int, last: int) -> int | None:
        """The first predicted frame in a range of offsets, both included; None if there is none."""
        place = bisect_left(self._offsets, first)
        inside = place < len(self._offsets) and self._offsets[place] <= last
        return self._offsets[place] if inside else None


class Trail:
    """The predictions and dead letters of one life of one partition, in the log's order.

    `judged` are the offsets of frames that the ledger covers; None where there is no ledger to
    compare with. What is above them is counted as `ahead`, and only its bytes are looked at: a
    worker may be at work. `whole` says that the log still holds the life's beginning.
    """

    def __init__(
        self,
        partition: int,
        life: int,
        *,
        judged: range | None,
        whole: bool,
        repeats_allowed: bool,
    ) -> None:
        self.partition = partition
        self.life = life
        self.streams: dict[str, Published] = {}
        self.predictions = 0  # all that are not repeats
        self.predicted = 0  # those among them that the ledger covers
        self.after_ends = 0  # those among these whose stream had ended before
        self.repeats = 0
        self.ahead = 0
        self.dead_letters: set[int] = set()
        self.findings: list[Finding] = []
        self.breaks = 0
        self._judged = judged
        self._repeats_allowed = repeats_allowed
        self._chains = ChainReader(drop_repeats=True, whole=whole)

    def find(
        self, kind: str, message: str, stream: str | None = None, offset: int | None = None
    ) -> None:
        """Take note of a break."""
        self.breaks += 1
        if len(self.findings) < TOLD:
            self.findings.append(Finding(kind, self.partition, self.life, message, stream, offset))

    def enter_prediction(self, record: Record) -> None:
        """Enter the next record of the predictions topic."""
        link = self._chains.follow(record)
        if link is not None and link.prediction is None:
            place = f"the record at offset {record.offset} of predictions"
            self.find(Fault.UNREADABLE, f"{place} is no prediction: {link.unreadable}")
            return
        said = None if link is None else link.prediction
        said = said or Prediction.read(record.value)  # a repeat is dropped by the chain only
        if said.partition != record.partition or record.key != said.stream.encode():
            place = f"offset {record.offset} of partition {record.partition}, key {record.key!r}"
            self.find(Wrong.MISPLACED, f"published at {place}", said.stream, said.offset)
            if said.partition != record.partition:
                return
        ahead = self._judged is not None and said.offset >= self._judged.stop
        fault = None if link is None else link.fault
        if link is not None and fault is not None and (not ahead or fault is Fault.ALTERED):
            self.find(fault, link.complaint, said.stream, said.offset)
        if ahead:
            self.ahead += 1
            return
        self._enter(said, zlib.crc32(record.value or b""))

    def _enter(self, said: Prediction, crc: int) -> None:
        published = self.streams.setdefault(said.stream, Published())
        known = published.crc(said.offset)
        if known is not None:
            self.repeats += 1
            if known != crc:
                message = "published again with other bytes"
                self.find(Wrong.REPEATED, message, said.stream, said.offset)
            elif not self._repeats_allowed:
                self.find(Wrong.REPEATED, "published again", said.stream, said.offset)
            return
        if not published.enter(said.offset, said.chain, crc):
            message = "published after a later frame of its stream"
            self.find(Wrong.BACKWARDS, message, said.stream, said.offset)
        self.predictions += 1
        if self._judged is not None and said.offset in self._judged:
            self.predicted += 1
            self.after_ends += said.reset is Reset.ENDED

    def enter_dead_letter(self, offset: int, key: bytes | None) -> None:
        """Enter the dead letter of the frame at `offset`, after all predictions."""
        if self._judged is None or offset not in self._judged:
            return
        stream = (key or b"").decode("ascii", "replace")
        if offset in self.dead_letters and not self._repeats_allowed:
            self.find(Wrong.REPEATED, "dead-lettered again", stream, offset)
        self.dead_letters.add(offset)
        published = self.streams.get(stream)
        if published is not None and published.crc(offset) is not None:
            self.find(Wrong.TWO_FATES, "predicted and dead-lettered", stream, offset)
