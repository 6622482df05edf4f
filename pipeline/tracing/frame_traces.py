"""The worker's spans of a frame: `poll`, `decode`, `engine` and `commit`.

They are children of the span in the frame's header `traceparent`. A frame without it has none. The
spans are made from recorded times once the frame's checkpoint is in the log: an attempt that was
lost leaves none, so a frame that is read again has its spans once.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from pipeline.broker.checkpoint import PartitionCheckpoint
from pipeline.clock import Clock
from pipeline.records import Fate, Frame
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.tracing.spans import FinishedSpan, Tracing

MOST_OPEN = 20_000  # frames between poll and commit; further ones have no spans

Returned = TypeVar("Returned")


class _FrameTrace:
    """The times of one frame between its poll and its commit, in seconds since 1970."""

    __slots__ = ("_decode", "_engine", "_fate", "_frame", "_polled_s", "traceparent")

    def __init__(self, frame: Frame, traceparent: bytes, polled_s: float) -> None:
        self.traceparent = traceparent
        self._frame, self._polled_s = (frame.stream, frame.record_ms, frame.offset), polled_s
        self._decode: tuple[float, float] | None = None
        self._engine: tuple[float, float] | None = None
        self._fate: Fate | None = None

    def time_decode(self, clock: Clock, call: Callable[[], Returned]) -> Returned:
        """Decode in a thread of the pool."""
        began_s = clock.time()
        try:
            return call()
        finally:
            self._decode = began_s, clock.time()

    def finish(self, item: Item, *, began_s: float, ended_s: float) -> None:
        """Set the frame's fate, and the time of its batch if it was in the engine."""
        self._fate = item.fate
        if item.pick is not None:
            self._engine = began_s, ended_s

    def spans(
        self, place: Mapping[str, str | int], commit: tuple[float, float]
    ) -> list[FinishedSpan]:
        """Return the spans, in the order of the steps; only of steps that there were."""
        stream, record_ms, offset = self._frame
        steps = {
            "poll": (record_ms / 1000, self._polled_s),
            "decode": self._decode,
            "engine": self._engine,
            "commit": commit,
        }
        where = {**place, "messaging.kafka.offset": offset, "longtake.stream": stream}
        fate = {"longtake.fate": str(self._fate)}
        return [
            FinishedSpan(name, *times, where | fate if name == "commit" else where)
            for name, times in steps.items()
            if times is not None
        ]


class FrameTraces:
    """The traces of all frames that are polled and not committed. The worker's thread owns it.

    Partitions are named by number and era: what belongs to an earlier era is dropped.
    """

    def __init__(self, tracing: Tracing, *, clock: Clock, topic: str, group: str) -> None:
        self._tracing = tracing
        self._clock = clock
        self._place = {
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": group,
        }
        self._eras: dict[int, int] = {}  # by partition
        self._open: dict[int, dict[int, _FrameTrace]] = {}  # by partition and offset
        self._count = 0

    def poll(self, frame: Frame, *, era: int, now_s: float) -> None:
        """Begin the trace of a frame that was polled, if its header asks for it."""
        if frame.traceparent is None or self._count >= MOST_OPEN:
            return
        if self._eras.get(frame.partition) != era:
            self._drop(frame.partition)
        self._eras[frame.partition] = era
        frames = self._open.setdefault(frame.partition, {})
        frames[frame.offset] = _FrameTrace(frame, frame.traceparent, now_s)
        self._count += 1

    def timed(self, frame: Frame, call: Callable[[], Returned]) -> Callable[[], Returned]:
        """Return the decode of a frame, which then also records its time."""
        trace = self._open.get(frame.partition, {}).get(frame.offset)
        if trace is None:  # also for a unit that is only decoded again after a restart
            return call
        return partial(trace.time_decode, self._clock, call)

    def step(
        self,
        partitions: Iterable[Partition],
        items: Iterable[Item],
        *,
        began_s: float,
        ended_s: float,
    ) -> None:
        """Record the batch in which items got their fates. Only `partitions` are ours now."""
        self._keep({partition.number: partition.era for partition in partitions})
        for item in items:
            trace = self._open.get(item.record.partition, {}).get(item.record.offset)
            if trace is not None:
                trace.finish(item, began_s=began_s, ended_s=ended_s)

    def commit(self, part: PartitionCheckpoint, *, began_s: float, ended_s: float) -> None:
        """Export the spans of the frames in a checkpoint that is in the log."""
        if self._eras.get(part.partition) != part.era:
            return
        frames = self._open[part.partition]
        place = self._place | {"messaging.destination.partition.id": str(part.partition)}
        for offset in [offset for offset in frames if offset < part.next_offset]:
            trace = frames.pop(offset)
            self._count -= 1
            self._tracing.write(trace.traceparent, trace.spans(place, (began_s, ended_s)))

    def _keep(self, eras: Mapping[int, int]) -> None:
        for partition in [one for one, era in self._eras.items() if eras.get(one) != era]:
            self._drop(partition)

    def _drop(self, partition: int) -> None:
        self._eras.pop(partition, None)
        self._count -= len(self._open.pop(partition, {}))
