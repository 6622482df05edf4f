"""One partition while this worker owns it: its records in offset order, its ledger, its streams."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from pipeline.heap import return_freed
from pipeline.media.video.lanes.unit_chain import ChainRules
from pipeline.media.video.lanes.unit_lane import Post, UnitJob
from pipeline.records import (
    BadRecord,
    Fate,
    Frame,
    Headers,
    Keyframe,
    Outgoing,
    ParsedRecord,
)
from pipeline.streams import admission
from pipeline.streams.admission import Rules
from pipeline.streams.intake import Intake
from pipeline.streams.item import Item
from pipeline.streams.open_checkpoint import Departure, LetterBudget, OpenCheckpoint
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.streams.stream_lanes import StreamLanes
from pipeline.wire.changelog import Manifest
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.skips import Skips

CAREFUL_ATTEMPT = 3  # from this attempt on, frames are decoded in a child process
SKIPS_OF_A_RECORD = 64  # ranges; the whole record is written again when one is added


class Partition:
    """The records, the ledger and the streams of one partition. One owner thread.

    A partition that is dropped and restored is a new object with a new `era`, so outcomes of the
    old object cannot be applied to the new one. first_offset + sum of the ledger = next_offset.
    `wanted_s` is the monotonic time at which its restore was requested.
    """

    def __init__(self, number: int, *, era: int, manifest: Manifest, wanted_s: float = 0.0) -> None:
        self.number = number
        self.era = era
        self.items: deque[Item] = deque()
        self.first_offset = manifest.first_offset
        self.next_offset = manifest.next_offset
        self.fates = Counter(dict(manifest.fates))
        self.absent = manifest.absent
        self.expired = manifest.expired
        self.stream_time_ms = manifest.stream_time_ms
        self.checkpoint = manifest.checkpoint  # number of the newest frozen one
        self.life = manifest.life
        self.identity = manifest.identity
        self.unknown = manifest.unknown  # fields of a newer release, to be written back
        # Before the first record is read, a manifest with this count is committed. If a record
        # kills one worker after the other, the count rises until a worker commits progress.
        self.attempts = manifest.attempts + 1
        self.opened = False  # whether that manifest is in the log
        self.wanted_s = wanted_s
        self.suspects_end = manifest.next_offset  # offsets below it are decoded in a child process
        self.unskippable_end = manifest.next_offset  # those below it may have been published
        self.read_from = manifest.next_offset  # units from here on are decoded again: see `prime`
        self._lanes = StreamLanes()
        self._letters = LetterBudget(number, omitted=manifest.letters_omitted)
        self._open = OpenCheckpoint(
            manifest.next_offset, attempts=self.attempts, letters=self._letters
        )
        self._settled = manifest.checkpoint  # number of the newest checkpoint in the log
        self._binding = manifest.checkpoint  # newest checkpoint with predictions or skips
        self._skips: dict[str, Skips] = {}  # the newest record of each stream, not yet full
        self._skipping: set[str] = set()  # streams whose last frame was skipped
        # arrival runs ahead of what is finished
        self._arrived_offset = manifest.next_offset
        self._intake = Intake(manifest.stream_time_ms, self._lanes)
        self._swept_ms = manifest.stream_time_ms
        self._pending_bytes = 0

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The streams that have memory, by name."""
        return self._intake.streams

    def suspect(self, log_end: int) -> bool:
        """From attempt CAREFUL_ATTEMPT on, suspect every record below `log_end`.

        Suspects are decoded in a child process. The log held all records that a failed worker had
        read. Returns whether any record is suspect.
        """
        if self.attempts >= CAREFUL_ATTEMPT:
            self.suspects_end = log_end
            self._lanes.suspect(log_end)
        return self.suspects_end > self.next_offset

    def admit(self, record: ParsedRecord, rules: Rules) -> Item | None:
        """Judge the partition's next record, or defer that until it is taken.

        None if its offset was read before; a unit of H.264 may be primed then.
        """
        absent = record.offset - self._arrived_offset
        if absent < 0:
            self._lanes.prime(record)
            return None
        self._arrived_offset = record.offset + 1
        item = Item(record, absent)
        if isinstance(record, BadRecord):
            item.refuse()  # its timestamp does not count either
        else:
            self._intake.arrive(item, record, rules)
        self.items.append(item)
        self._pending_bytes += item.size
        return item

    def prime(self, keyframes: Mapping[str, Keyframe]) -> None:
        """Begin to read at the oldest keyframe of the restored streams, by name.

        The units from there to `next_offset` are decoded once, and never stepped, counted or
        published. Other streams have no chain that goes on.
        """
        for name, stream in self.streams.items():
            stream.begin_chain(keyframes.get(name))
        self.read_from = self._lanes.restart(keyframes, self.next_offset)

    def submit_units(self, rules: ChainRules, post: Post) -> list[UnitJob]:
        """Submit the units that are due to the lanes of their streams. Returns them.

        Call it after each admission and each batch. Units become due in the order of their streams.
        """
        return self._lanes.submit(rules, post)

    def take_ready(self) -> Item | None:
        """Take the next record out; None if there is none, or its input is not decoded yet."""
        if not self.items or not self.items[0].ready:
            return None
        item = self.items.popleft()
        self._intake.take(item, self.items)
        return item

    @property
    def letters_omitted(self) -> int:
        """How many of its dead-lettered records have no letter."""
        return self._letters.omitted

    @property
    def pending_bytes(self) -> int:
        """Size of the records that have arrived and are not finished, or not primed."""
        return self._pending_bytes + self._lanes.primed_bytes()

    @property
    def open_bytes(self) -> int:
        """Size of the outgoing records that wait for the next checkpoint."""
        return self._open.size

    @property
    def open_records(self) -> int:
        """Number of outgoing records that wait for the next checkpoint."""
        return len(self._open.outgoing)

    @property
    def dirty(self) -> bool:
        """Whether there is anything to commit: progress, or the attempt count of a restore."""
        return self.next_offset != self._open.start or self._open.attempts > 0

    def close_checkpoint(self) -> OpenCheckpoint:
        """Close the open checkpoint, which gets number `checkpoint`, and open the next one."""
        closed = self._open
        if closed.attempts == 0 or self.checkpoint < 0:
            self.checkpoint += 1
        if closed.binding:
            self._binding = self.checkpoint
        self._open = OpenCheckpoint(self.next_offset, attempts=0, letters=self._letters)
        return closed

    def settle(self, number: int) -> bool:
        """Record that checkpoint `number` is in the log. Returns whether it is this era's first.

        The first one sets `opened`: from then on the partition is read.
        """
        self._settled = number
        first, self.opened = not self.opened, True
        return first

    def adopt(self, streams: Iterable[Stream], moved: Iterable[MovedStream] = ()) -> None:
        """Add restored streams, and those that have moved to another partition."""
        self._intake.adopt(streams, moved)

    def moved_away(self, record: ParsedRecord, rules: Rules) -> MovedStream | None:
        """See `Intake`."""
        return self._intake.moved_away(record, rules.ttl_ms)

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        """Write records that belong to no input record with the next checkpoint."""
        self._open.publish(outgoing)

    def forbid_skips_below(self, offset: int) -> None:
        """Never skip a frame below `offset`: its prediction may have been published."""
        self.unskippable_end = offset

    def keep_newest(self) -> None:
        """Overload `latest`: skip each stream's waiting frames except the newest.

        Frames below `unskippable_end` are never skipped, because a previous worker may have
        published their predictions (`low_latency`). Nor are frames of streams without memory:
        skipped ranges are durable.
        """
        kept: set[Stream | None] = set()
        for item in reversed(self.items):
            if not item.steps or item.deferred or item.record.offset < self.unskippable_end:
                continue
            if item.stream in kept:
                item.skip()
            kept.add(item.stream)
        self._lanes.leave_out()

    def departures(self, headers: Headers) -> list[Departure]:
        """Take out the predictions to publish before their checkpoint (`low_latency`).

        Returns none while skipped frames are not in the log yet: a worker that restored the
        partition would not skip them and would publish other predictions. It also returns none
        while a closed checkpoint with predictions or skips is not in the log: later predictions
        must not overtake it.
        """
        if self._open.skipped or self._binding > self._settled:
            return []
        return self._open.departures(headers)

    def finish(self, items: Sequence[Item]) -> None:
        """Enter finished records, in offset order, into the ledger and the open checkpoint."""
        for item in items:
            self.fates[item.final_fate] += 1
            self._pending_bytes -= item.size
            self.absent += item.absent
            self.next_offset = item.record.offset + 1
            if not isinstance(item.record, BadRecord):
                self.stream_time_ms = max(self.stream_time_ms, item.record.record_ms)
            self._open.finish(item)
            if isinstance(item.record, Frame):
                self._record_skips(item.record.stream, item)

    def _record_skips(self, stream: str, item: Item) -> None:
        """Record the ranges of skipped frames. A frame that is let through ends a range."""
        if item.fate is Fate.SKIPPED:
            before = self._skips.get(stream)
            ranges = () if before is None else before.ranges
            if stream in self._skipping:
                first = ranges[-1][0]
                ranges = ranges[:-1]
            else:
                first = item.record.offset
                ranges = ranges if len(ranges) < SKIPS_OF_A_RECORD else ()
            skips = Skips(stream, (*ranges, (first, item.record.offset)))
            self._skips[stream] = skips
            self._open.skip(skips)
            self._skipping.add(stream)
        elif item.fate in (Fate.PREDICTED, Fate.DEAD_LETTERED, Fate.UNKEYED):
            self._skipping.discard(stream)

    def expire(self, log_start: int) -> None:
        """Continue at `log_start`, and count the records that retention deleted unread."""
        if log_start > self.next_offset:
            self.expired += log_start - self.next_offset
            self._open.expire(log_start - self.next_offset)
            self.next_offset = self._arrived_offset = log_start

    def sweep(self, rules: Rules, rows: RowPool) -> list[str]:
        """Delete streams that were silent for longer than their time to live; return their names.

        It checks only once per tenth of that time. It also frees the decoders of silent streams.
        """
        if self._lanes.sweep(self.stream_time_ms, rules.keyframe_ms):
            return_freed()
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
            self._intake.forget(stream.name)
            self._open.evict(stream, self.number, rules)
            self._skips.pop(stream.name, None)
            self._skipping.discard(stream.name)
            stream.give_row(rows)
        return [stream.name for stream in gone]

    def release(self, rows: RowPool) -> None:
        """Return the engine rows of all streams, and cancel decodes: it is no longer ours."""
        if self._lanes.abandon():
            return_freed()
        for stream in self.streams.values():
            stream.give_row(rows)
        for item in self.items:
            item.abandon()
        self._intake.clear()
        self.items.clear()
