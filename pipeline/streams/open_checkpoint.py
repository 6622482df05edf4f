"""The records finished since a partition's last checkpoint, to be committed by the next one."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.records import Destination, Fate, Frame, Headers, Outgoing, Reset
from pipeline.streams.admission import Rules
from pipeline.streams.item import Item
from pipeline.streams.stream import Stream
from pipeline.wire.skips import Skips

log = logging.getLogger(__name__)

LETTERS_AT_ONCE = 5000
LETTERS_A_SECOND = 100


@dataclass(frozen=True, slots=True)
class Departure:
    """A prediction published before its checkpoint, and the capture time of its frame."""

    outgoing: Outgoing
    captured_us: int


class LetterBudget:
    """Limits the dead letters of one partition: LETTERS_AT_ONCE, and LETTERS_A_SECOND from then on.

    Seconds are those of the records' timestamps. A record above the limit keeps its fate, stays in
    the input topic, and is counted in the manifest (`omitted`). Without a limit, a flood of bytes
    that are no picture would be written to the log a second time, in larger records.
    """

    def __init__(self, partition: int, *, omitted: int = 0) -> None:
        self.omitted = omitted
        self._partition = partition
        self._left = float(LETTERS_AT_ONCE)
        self._now_ms = 0
        self._warned = False

    def take(self, record_ms: int) -> bool:
        """Return whether a letter may be written for a record of this timestamp."""
        passed_ms = max(0, record_ms - self._now_ms)
        self._now_ms = record_ms  # also back: one wrong timestamp must not stop the time for good
        self._left = min(self._left + passed_ms * LETTERS_A_SECOND / 1000, LETTERS_AT_ONCE)
        if self._left < 1:
            self.omitted += 1
            self._warn()
            return False
        self._left -= 1
        return True

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "partition %d: a flood of records that cannot be used: from now on %d dead letters"
                " are written for each second of it, and the others are only counted",
                self._partition,
                LETTERS_A_SECOND,
            )


class OpenCheckpoint:
    """What one partition commits next, from offset `start`. Only the partition writes to it.

    `attempts` is above 0 in the first checkpoint of a restored partition, which records in the log
    that this worker is about to try the records from `start` on.
    """

    def __init__(self, start: int, *, attempts: int, letters: LetterBudget) -> None:
        self._letters = letters
        self.start = start
        self.attempts = attempts
        self.outgoing: list[Outgoing] = []  # in offset order
        self.size = 0  # bytes that wait to be written; dead letters are large
        self.captured_us: list[int] = []  # capture times of the predictions in `outgoing`
        self.changed: dict[str, Stream] = {}  # streams that need a new snapshot, by name
        self.skipped: dict[bytes, Skips] = {}  # by key: a stream whose record is full has two
        self.fates: Counter[Fate] = Counter()  # of its records
        self.expired = 0  # records that retention deleted before they were read

    @property
    def binding(self) -> bool:
        """Whether it holds predictions or skips: later predictions must not overtake these."""
        return bool(self.captured_us or self.skipped)

    def finish(self, item: Item) -> None:
        """Add a record that has its fate."""
        self.fates[item.final_fate] += 1
        if item.letter is None or self._letters.take(item.record.record_ms):
            out = item.outgoing
            if out is not None:
                self.publish((out,))
        self.publish(item.events)
        if item.fate is Fate.PREDICTED and isinstance(item.record, Frame):
            self.captured_us.append(item.record.captured_us)
        if item.stream is not None:
            self.changed[item.stream.name] = item.stream

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        """Add outgoing records that belong to no input record."""
        for out in outgoing:
            self.outgoing.append(out)
            self.size += len(out.value or b"")

    def skip(self, skips: Skips) -> None:
        """Add a record of skipped ranges. It replaces one with the same key."""
        self.skipped[skips.key] = skips

    def expire(self, records: int) -> None:
        """Count records that retention deleted before they were read."""
        self.expired += records

    def evict(self, stream: Stream, partition: int, rules: Rules) -> None:
        """End the event of a stream whose time to live is over, and write no snapshot of it."""
        self.publish(stream.end_event(partition, Reset.NEW, rules))
        self.changed.pop(stream.name, None)

    def departures(self, headers: Headers) -> list[Departure]:
        """Take the predictions out, with `headers` added, to publish them before the checkpoint."""
        leaving = [o for o in self.outgoing if o.destination is Destination.PREDICTIONS]
        self.outgoing = [o for o in self.outgoing if o.destination is not Destination.PREDICTIONS]
        self.size -= sum(len(out.value or b"") for out in leaving)
        captured_us, self.captured_us = self.captured_us, []
        return [
            Departure(replace(o, headers=o.headers + headers), us)
            for o, us in zip(leaving, captured_us, strict=True)
        ]
