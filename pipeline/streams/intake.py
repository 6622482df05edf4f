"""Judges the records of one partition by the memory of their streams, and begins new streams.

A stream begins with its first frame that decodes, if there is room for it. Before that it has no
memory at all, so that records under unknown names cost nothing that lasts. Whether a frame decodes
is not known when it arrives. The records of a stream without memory are therefore decoded, and
judged when they are taken into a batch, in offset order. The records of all other streams are
judged when they arrive. Both give the same result, and a replay of the log gives it too.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import TooManyStreamsError
from pipeline.media.video.lanes.unit_chain import keyless_error
from pipeline.media.video.lanes.unit_lane import UnitJob
from pipeline.records import BadRecord, EndOfStream, Frame, ParsedRecord
from pipeline.streams import admission
from pipeline.streams.admission import Rules, Verdict
from pipeline.streams.item import Item
from pipeline.streams.stream import Stream
from pipeline.streams.stream_lanes import CHAIN_ENDS, StreamLanes
from pipeline.streams.stream_limit import StreamLimit
from pipeline.wire.growths.moved_stream import MovedStream


@dataclass(frozen=True, slots=True)
class _Deferred:
    """A record that is judged when it is taken. `now_ms`: the partition's time at this record."""

    item: Item
    record: Frame | EndOfStream
    now_ms: int
    rules: Rules


class Intake:
    """The streams of one partition that have memory, and the records of those that have none yet.

    The partition's time is the largest timestamp of its records so far. Units of H.264 go to the
    `lanes` once they are judged. Of a stream without memory only a keyframe can be decoded: its
    first record that waits is decoded before it is judged, the others are judged first. One owner
    thread.
    """

    def __init__(self, now_ms: int, lanes: StreamLanes) -> None:
        self._now_ms = now_ms
        self._lanes = lanes
        self._streams: dict[str, Stream] = {}
        self._waiting: dict[str, deque[_Deferred]] = {}  # by stream, none is empty
        self._limit = StreamLimit()
        self._moved: dict[str, MovedStream] = {}

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The streams that have memory, by name."""
        return self._streams

    def adopt(self, streams: Iterable[Stream], moved: Iterable[MovedStream] = ()) -> None:
        """Add restored streams, and those that have left the partition at a growth.

        There may be more streams than the limit allows: it stops new ones only.
        """
        self._moved |= {one.stream: one for one in moved}
        before = len(self._streams)
        self._streams |= {stream.name: stream for stream in streams}
        self._limit.adopt(len(self._streams) - before)

    def moved_away(self, record: ParsedRecord, ttl_ms: int) -> MovedStream | None:
        """Return where the stream of the partition's next record has moved to; None if it has not.

        After its time to live it would be new in either partition.
        """
        moved = None if isinstance(record, BadRecord) else self._moved.get(record.stream)
        if moved is None or record.offset <= moved.offset:
            return None
        silent_ms = max(self._now_ms, record.record_ms) - moved.record_ms
        return moved if silent_ms <= ttl_ms else None

    def forget(self, stream: str) -> None:
        """Remove a stream whose time to live is over."""
        del self._streams[stream]

    def clear(self) -> None:
        """Remove everything; the partition is no longer ours."""
        self._streams.clear()
        self._waiting.clear()

    def arrive(self, item: Item, record: Frame | EndOfStream, rules: Rules) -> None:
        """Judge the partition's next record, or defer that until it is taken."""
        self._now_ms = max(self._now_ms, record.record_ms)
        waiting = _Deferred(item, record, self._now_ms, rules)
        if record.stream in self._waiting:
            self._defer(waiting)
        elif not self._judge(waiting):
            self._arrive_unknown(waiting)

    def _arrive_unknown(self, waiting: _Deferred) -> None:
        if isinstance(waiting.record, EndOfStream):
            waiting.item.end()
        elif self._limit.full(waiting.now_ms, waiting.rules.ttl_ms):
            _turn_away(waiting)  # without decoding it
        elif (refusal := waiting.rules.refused(waiting.record)) is not None:
            waiting.item.turn_away(refusal)
        else:
            self._defer(waiting)

    def _defer(self, waiting: _Deferred) -> None:
        waiting.item.defer()
        behind = self._waiting.setdefault(waiting.record.stream, deque())
        behind.append(waiting)
        if len(behind) == 1:
            self._come_first(waiting)

    def _come_first(self, waiting: _Deferred) -> None:
        """Decode a unit of a stream without memory, which only a keyframe can begin."""
        frame = waiting.record
        if not isinstance(frame, Frame) or not frame.unit:
            return
        if frame.keyframe:
            job = self._lanes.enter(frame, waiting.now_ms, wanted=True, ends=True)
        else:
            job = UnitJob(frame, waiting.now_ms, wanted=True)
            job.refuse(keyless_error(frame.content))
        waiting.item.decode_in_lane(job)

    def take(self, item: Item, queued: Iterable[Item]) -> None:
        """Judge a deferred record that is taken into a batch; `queued` are the records behind it.

        Records are taken in offset order, and only once they are decoded.
        """
        if item.deferred and not isinstance(item.record, BadRecord):
            self._take_deferred(item, item.record.stream, queued)
        if item.stream is not None and item.verdict is not None:
            item.stream.take(item.verdict)

    def _take_deferred(self, item: Item, name: str, queued: Iterable[Item]) -> None:
        behind = self._waiting[name]
        waiting, failure = behind.popleft(), item.failure
        if isinstance(waiting.record, EndOfStream):
            item.end()
        elif item.unwanted:
            item.leave_out()
        elif not self._has_room(waiting, queued):
            _turn_away(waiting)
        elif failure is not None:
            item.turn_away(failure)
        else:
            self._begin(waiting, waiting.record)
        if item.unit is None or item.stream is None:
            self._lanes.end(name)
        while behind and self._judge(behind[0]):
            behind.popleft()
        if behind:
            self._come_first(behind[0])
        else:
            del self._waiting[name]

    def _has_room(self, waiting: _Deferred, queued: Iterable[Item]) -> bool:
        return self._limit.has_room(
            self._streams.values(),
            (one.verdict.admission.record_ms for one in queued if one.verdict is not None),
            now_ms=waiting.now_ms,
            ttl_ms=waiting.rules.ttl_ms,
            most=waiting.rules.most_streams,
        )

    def _begin(self, waiting: _Deferred, frame: Frame) -> None:
        stream = self._streams.setdefault(frame.stream, Stream(frame.stream))
        verdict = admission.admit(None, frame, waiting.rules)
        waiting.item.judge(stream, verdict)
        stream.arrive(verdict)
        self._limit.begin(verdict.admission.record_ms)

    def _judge(self, waiting: _Deferred) -> bool:
        """Judge a record by its stream's memory. Returns False if the stream has none."""
        record, rules = waiting.record, waiting.rules
        stream = self._streams.get(record.stream)
        last = None if stream is None else stream.head
        if stream is None or last is None or admission.expired(last, waiting.now_ms, rules):
            return False
        verdict = (
            admission.end(record)
            if isinstance(record, EndOfStream)
            else admission.admit(last, record, rules)
        )
        waiting.item.judge(stream, verdict)
        stream.arrive(verdict)
        self._limit.touch(verdict.admission.record_ms)
        self._decode(waiting, verdict)
        return True

    def _decode(self, waiting: _Deferred, verdict: Verdict) -> None:
        """Let the stream's lane follow a judged record."""
        record, item = waiting.record, waiting.item
        ends = isinstance(record, EndOfStream) or verdict.reset in CHAIN_ENDS
        if isinstance(record, Frame) and record.unit:
            wanted = item.fate is None
            job = self._lanes.enter(record, waiting.now_ms, wanted=wanted, ends=ends)
            item.decode_in_lane(job)
        elif ends:
            self._lanes.end(record.stream)


def _turn_away(waiting: _Deferred) -> None:
    most = waiting.rules.most_streams
    waiting.item.turn_away(
        TooManyStreamsError(f"its partition has {most} streams, and max_streams allows no more")
    )
