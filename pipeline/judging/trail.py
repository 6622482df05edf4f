"""Checks what one life of a partition published, record by record: links, repeats and order."""

import zlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum

from pipeline.judging.chain import MOST_STREAMS, ChainReader, Fault
from pipeline.records import Record, Reset
from pipeline.wire.predictions import NEW_CHAIN, Prediction

MOST_FINDINGS = 100  # of a life, that are described; all are counted


class Wrong(StrEnum):
    """The kinds of breaks beyond a single link (those are `chain.Fault`)."""

    MISPLACED = "misplaced"  # in another partition than its frame, or with another key
    REPEATED = "repeated"  # published twice; in low_latency delivery: with other bytes
    BACKWARDS = "backwards"  # published after a later frame of its stream
    TWO_FATES = "two_fates"  # predicted, and dead-lettered or skipped as well
    LEDGER = "ledger"  # the fates do not add up to the offsets
    PREDICTED = "predicted"  # log and ledger differ in the number of predictions
    DEAD_LETTERED = "dead_lettered"  # log and ledger differ in the number of dead letters
    ENDED = "ended"  # more streams began after an end than have ended
    SKIPPED = "skipped"  # the ledger counts more skipped frames than the changelog's ranges hold
    MEMORY = "memory"  # a stream's memory does not continue from its last prediction
    UNFOLLOWED = "unfollowed"  # of a stream beyond the number that an audit can follow
    LIFE = "life"  # the manifest belongs to another life than the newest
    TOPIC = "topic"  # the ledger belongs to another topic than there is now
    OLDER = "older"  # predictions of frames before the ledger begins
    LOST = "lost"  # predictions of the group where there is no ledger


@dataclass(frozen=True, slots=True)
class Finding:
    """One break. `offset` is that of the frame, if the break concerns one."""

    kind: str
    partition: int
    life: int
    message: str
    stream: str | None = None
    offset: int | None = None


class Published:
    """The predicted frames of one stream, and the CRC of each prediction.

    Sorted arrays take twelve bytes a prediction, so that a log may hold many millions.
    """

    def __init__(self) -> None:
        self._offsets = array("q")
        self._crcs = array("I")
        self.chain = NEW_CHAIN  # of the prediction with the highest frame offset
        self.first_prev: str | None = None  # the link of the first one entered; None before that

    def crc(self, offset: int) -> int | None:
        """Return the CRC of a frame's prediction; None if it has none."""
        place = bisect_left(self._offsets, offset)
        found = place < len(self._offsets) and self._offsets[place] == offset
        return self._crcs[place] if found else None

    def enter(self, offset: int, prev: str, chain: str, crc: int) -> bool:
        """Enter a prediction. Returns whether it is in order: its offset is above all others."""
        self.first_prev = prev if self.first_prev is None else self.first_prev
        place = bisect_left(self._offsets, offset)
        self._offsets.insert(place, offset)
        self._crcs.insert(place, crc)
        last = place == len(self._offsets) - 1
        if last:
            self.chain = chain
        return last

    def between(self, first: int, last: int) -> int | None:
        """Return the first predicted frame in a range of offsets, both included; None if none."""
        place = bisect_left(self._offsets, first)
        inside = place < len(self._offsets) and self._offsets[place] <= last
        return self._offsets[place] if inside else None


class FrameOffsets:
    """A set of offsets. A sorted array takes eight bytes an offset, for logs of many millions."""

    def __init__(self) -> None:
        self._offsets = array("q")

    def __len__(self) -> int:
        return len(self._offsets)

    def enter(self, offset: int) -> bool:
        """Add an offset. Returns whether it is new."""
        place = bisect_left(self._offsets, offset)
        if place < len(self._offsets) and self._offsets[place] == offset:
            return False
        self._offsets.insert(place, offset)
        return True


class Trail:
    """The predictions and dead letters of one life of one partition, in the log's order.

    `judged` are the offsets of frames that the ledger covers; None if there is no ledger. A
    prediction below them is counted as `older`. One above them is counted as `ahead`, and only its
    bytes are checked, because a worker may be running. `whole`: the log still holds the life's
    beginning, and all its streams began there. The predictions of streams beyond `most_streams` are
    only counted, and each is a break, because it was not checked.
    """

    def __init__(
        self,
        partition: int,
        life: int,
        *,
        judged: range | None,
        whole: bool,
        repeats_allowed: bool,
        most_streams: int = MOST_STREAMS,
    ) -> None:
        self.partition = partition
        self.life = life
        self.streams: dict[str, Published] = {}
        self.predictions = 0  # all predictions except repeats
        self.predicted = 0  # of these, the ones that the ledger covers
        self.after_ends = 0  # of those, the first ones after an end of their stream
        self.repeats = 0
        self.ahead = 0
        self.older = 0  # of `predictions`, those of frames before the ledger begins
        self.dead_letters = FrameOffsets()
        self.findings: list[Finding] = []
        self.breaks = 0
        self._judged = judged
        self._repeats_allowed = repeats_allowed
        self._most_streams = most_streams
        self._chains = ChainReader(drop_repeats=True, whole=whole, most_streams=most_streams)

    def find(
        self, kind: str, message: str, stream: str | None = None, offset: int | None = None
    ) -> None:
        """Count a break, and keep its finding if there is room."""
        self.breaks += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, self.partition, self.life, message, stream, offset))

    def enter_prediction(self, record: Record) -> None:
        """Enter the next record of the predictions topic."""
        link = self._chains.follow(record)
        if link is not None and link.prediction is None:
            place = f"the record at offset {record.offset} of predictions"
            self.find(Fault.UNREADABLE, f"{place} is no prediction: {link.unreadable}")
            return
        read = None if link is None else link.prediction
        read = read or Prediction.read(record.value)  # only the chain reader drops a repeat
        if read.partition != record.partition or record.key != read.stream.encode():
            place = f"offset {record.offset} of partition {record.partition}, key {record.key!r}"
            self.find(Wrong.MISPLACED, f"published at {place}", read.stream, read.offset)
            if read.partition != record.partition:
                return
        ahead = self._judged is not None and read.offset >= self._judged.stop
        fault = None if link is None else link.fault
        if link is not None and fault is not None and (not ahead or fault is Fault.ALTERED):
            self.find(fault, link.complaint, read.stream, read.offset)
        if ahead:
            self.ahead += 1
            return
        self._enter(read, zlib.crc32(record.value or b""))

    def _enter(self, prediction: Prediction, crc: int) -> None:
        stream, offset = prediction.stream, prediction.offset
        if stream not in self.streams and len(self.streams) >= self._most_streams:
            message = f"not checked: an audit follows {self._most_streams} streams of a partition"
            self.find(Wrong.UNFOLLOWED, message, stream, offset)
            self._count(prediction)
            return
        published = self.streams.setdefault(stream, Published())
        known = published.crc(offset)
        if known is not None:
            self.repeats += 1
            if known != crc:
                self.find(Wrong.REPEATED, "published again with other bytes", stream, offset)
            elif not self._repeats_allowed:
                self.find(Wrong.REPEATED, "published again", stream, offset)
            return
        if not published.enter(offset, prediction.prev, prediction.chain, crc):
            message = "published after a later frame of its stream"
            self.find(Wrong.BACKWARDS, message, stream, offset)
        self._count(prediction)

    def _count(self, prediction: Prediction) -> None:
        self.predictions += 1
        if self._judged is not None and prediction.offset in self._judged:
            self.predicted += 1
            self.after_ends += prediction.reset is Reset.ENDED
        elif self._judged is not None and prediction.offset < self._judged.start:
            self.older += 1

    def enter_dead_letter(self, offset: int, key: bytes | None) -> None:
        """Enter the dead letter of the frame at `offset`, after all predictions."""
        if self._judged is None or offset not in self._judged:
            return
        stream = (key or b"").decode("ascii", "replace")
        if not self.dead_letters.enter(offset) and not self._repeats_allowed:
            self.find(Wrong.REPEATED, "dead-lettered again", stream, offset)
        published = self.streams.get(stream)
        if published is not None and published.crc(offset) is not None:
            self.find(Wrong.TWO_FATES, "predicted and dead-lettered", stream, offset)
