"""One partition while it is ours: its records in offset order, its ledger, its streams."""

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from engines.base import Pixels
from pipeline.records import (
    BadRecord,
    Destination,
    EndOfStream,
    Fate,
    Frame,
    Headers,
    Outgoing,
    ParsedRecord,
)
from pipeline.streams import admission
from pipeline.streams.admission import Rules, Verdict
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.wire.changelog import Manifest
from pipeline.wire.predictions import Answer
from pipeline.wire.skips import Skips

CAREFUL_ATTEMPT = 3
SKIPS_OF_A_RECORD = 64  # ranges; a record is written again whenever one is added


@dataclass(frozen=True, slots=True)
class Departure:
    """A prediction that leaves ahead of its checkpoint, and when its frame was captured."""

    outgoing: Outgoing
    captured_us: int


@dataclass(slots=True)
class Item:
    """A record on its way: what admission said, its pixels to come, and in the end its fate."""

    record: ParsedRecord
    absent: int  # offsets before it that hold no record
    stream: Stream | None = None
    verdict: Verdict | None = None
    pixels: Future[Pixels] | None = None
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


class Partition:
    """The records, the ledger and the streams of one partition. One owner thread.

    A partition that is dropped and restored is a new object with a new `era`: what belonged to the
    old one can never be mistaken for it. `first_offset + sum of the ledger = next_offset`.
    """

    def __init__(self, number: int, *, era: int, manifest: Manifest) -> None:
        self.number = number
        self.era = era
        self.streams: dict[str, Stream] = {}
        self.items: deque[Item] = deque()
        self.first_offset = manifest.first_offset
        self.next_offset = manifest.next_offset
        self.fates = Counter(dict(manifest.fates))
        self.absent = manifest.absent
        self.expired = manifest.expired
        self.stream_time_ms = manifest.stream_time_ms
        self.checkpoint = manifest.checkpoint  # number of the newest frozen one
        self.life = manifest.life
        self.unknown = manifest.unknown  # fields of a newer release, to be written back
        # Before the first record is read, a manifest says that we are about to try: where workers
        # die of a record, the count of those who tried goes up until somebody commits.
        self.attempts = manifest.attempts + 1
        self.announced = False  # that manifest is frozen
        self.opened = False  # and in the log
        self.wanted_s = 0.0  # when its memory was asked for, by the monotonic clock
        self.suspects_end = manifest.next_offset  # offsets below it are decoded in a child
        self.unskippable_end = manifest.next_offset  # those below it may have been published
        # the open checkpoint
        self.start = manifest.next_offset
        self.outgoing: list[Outgoing] = []
        self.changed: dict[str, Stream] = {}
        self.captured_us: list[int] = []  # of its predictions
        self.frozen_fates = self.fates.copy()  # when it was opened
        self.frozen_expired = self.expired
        self.skipped: dict[str, Skips] = {}  # by stream
        self.settled = manifest.checkpoint  # number of the newest that is in the log
        self.bound = manifest.checkpoint  # number of the newest with predictions or skips in it
        self._skips: dict[str, Skips] = {}  # the newest of each stream, still to be added to
        self._skipping: set[str] = set()  # streams whose last frame was skipped
        # what has arrived, ahead of what is finished
        self._arrived_offset = manifest.next_offset
        self._arrived_ms = manifest.stream_time_ms
        self._swept_ms = manifest.stream_time_ms
        self._pending_bytes = 0

    def suspect(self, log_end: int) -> bool:
        """Take all records below `log_end` for suspects if too many have died here; tell whether.

        Whatever a dead worker had read was in the log by then.
        """
        if self.attempts >= CAREFUL_ATTEMPT:
            self.suspects_end = log_end
        return self.suspects_end > self.next_offset

    def admit(self, record: ParsedRecord, rules: Rules) -> Item | None:
        """Judge the partition's next record. None when its offset is behind us (a re-read)."""
        absent = record.offset - self._arrived_offset
        if absent < 0:
            return None
        self._arrived_offset = record.offset + 1
        item = Item(record, absent)
        if isinstance(record, BadRecord):
            item.fate = Fate.DEAD_LETTERED  # and its timestamp is not believed either
        else:
            self._arrived_ms = max(self._arrived_ms, record.record_ms)
            self._judge(item, record, rules)
        self.items.append(item)
        self._pending_bytes += item.size
        return item

    def _judge(self, item: Item, record: Frame | EndOfStream, rules: Rules) -> None:
        stream = self.streams.get(record.stream)
        if stream is None:
            stream = self.streams[record.stream] = Stream(record.stream)
        last = stream.head
        if last is not None and admission.expired(last, self._arrived_ms, rules):
            last = None
        if isinstance(record, EndOfStream):
            item.verdict = admission.end(record)
        else:
            item.verdict = admission.admit(last, record, rules)
        item.stream = stream
        item.fate = item.verdict.fate
        stream.head = item.verdict.admission

    @property
    def pending_bytes(self) -> int:
        """Size of the frames that have arrived and are not finished."""
        return self._pending_bytes

    @property
    def open_bytes(self) -> int:
        """Size of what is finished and waits for the next checkpoint: dead letters are large."""
        return sum(len(out.value or b"") for out in self.outgoing)

    @property
    def dirty(self) -> bool:
        """Whether there is anything to commit: progress, or that we are about to try."""
        return self.next_offset != self.start or not self.announced

    def keep_newest(self) -> None:
        """Overload `latest`: of each stream's waiting frames only the newest goes to the engine.

        And those whose predictions a worker before us may have published (`low_latency`).
        """
        kept: set[Stream | None] = set()
        for item in reversed(self.items):
            if item.pixels is None or item.record.offset < self.unskippable_end:
                continue
            if item.stream in kept:
                item.pixels.cancel()
                item.pixels, item.fate = None, Fate.SKIPPED
            kept.add(item.stream)

    def departures(self, headers: Headers) -> list[Departure]:
        """Take out the predictions that may leave ahead of their checkpoint (`low_latency`).

        None does while a prediction waits that was made by skipping frames: until the log says
        what was skipped, a worker after us would not skip it. Nor does any overtake such a one.
        """
        if self.skipped or self.bound > self.settled:
            return []
        leaving = [o for o in self.outgoing if o.destination is Destination.PREDICTIONS]
        self.outgoing = [o for o in self.outgoing if o.destination is not Destination.PREDICTIONS]
        captured_us, self.captured_us = self.captured_us, []
        return [
            Departure(replace(o, headers=o.headers + headers), us)
            for o, us in zip(leaving, captured_us, strict=True)
        ]

    def finish(self, items: Sequence[Item]) -> None:
        """Enter finished records, in offset order, into the ledger and the open checkpoint."""
        for item in items:
            if item.fate is None:
                raise AssertionError(f"offset {item.record.offset} has no fate")
            self._pending_bytes -= item.size
            self.absent += item.absent
            self.fates[item.fate] += 1
            self.next_offset = item.record.offset + 1
            if not isinstance(item.record, BadRecord):
                self.stream_time_ms = max(self.stream_time_ms, item.record.record_ms)
            if item.outgoing is not None:
                self.outgoing.append(item.outgoing)
            if item.fate is Fate.PREDICTED and isinstance(item.record, Frame):
                self.captured_us.append(item.record.captured_us)
            if item.stream is not None:
                self.changed[item.stream.name] = item.stream
                self._tell_skips(item.stream.name, item)

    def _tell_skips(self, stream: str, item: Item) -> None:
        """Keep the ranges of skipped frames; a frame that went to the engine ends a range."""
        if item.fate is Fate.SKIPPED:
            told = self._skips.get(stream)
            ranges = () if told is None else told.ranges
            if stream in self._skipping:
                first = ranges[-1][0]
                ranges = ranges[:-1]
            else:
                first = item.record.offset
                ranges = ranges if len(ranges) < SKIPS_OF_A_RECORD else ()
            told = Skips(stream, (*ranges, (first, item.record.offset)))
            self._skips[stream] = self.skipped[stream] = told
            self._skipping.add(stream)
        elif item.verdict is not None and item.verdict.fate is None:
            self._skipping.discard(stream)

    def expire(self, log_start: int) -> None:
        """Go on at `log_start`: what retention deleted before we read it is counted."""
        if log_start > self.next_offset:
            self.expired += log_start - self.next_offset
            self.next_offset = self._arrived_offset = log_start

    def sweep(self, rules: Rules, rows: RowPool) -> list[str]:
        """Forget the streams that were silent for too long; looks only now and then."""
        if self.stream_time_ms - self._swept_ms < rules.ttl_ms // 10:
            return []
        self._swept_ms = self.stream_time_ms
        gone = [
            stream
            for stream in self.streams.values()
            if stream.idle
            and stream.admission is not None
            and admission.expired(stream.admission, self.stream_time_ms, rules)
        ]
        for stream in gone:
            del self.streams[stream.name]
            self.changed.pop(stream.name, None)
            self._skips.pop(stream.name, None)
            self._skipping.discard(stream.name)
            if stream.row is not None:
                rows.give(stream.row)
        return [stream.name for stream in gone]

    def release(self, rows: RowPool) -> None:
        """Give the engine rows of all streams back: the partition is no longer ours."""
        for stream in self.streams.values():
            if stream.row is not None:
                rows.give(stream.row)
        self.streams.clear()
        self.items.clear()
