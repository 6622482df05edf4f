"""Which records go to the engine next, and in which order they may be stepped."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.stream import Stream


class Batcher:
    """Takes whatever is ready, up to `max_batch` frames; nothing waits for a fuller batch.

    Partitions take turns, record by record, and the next batch begins where the last one ended: a
    backlog in one does not starve the others. What is not a frame to step costs nothing.
    """

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._last = -1  # the partition that had the last turn

    def take(self, partitions: Iterable[Partition]) -> dict[Partition, list[Item]]:
        """Take finished decodes, in offset order per partition."""
        taken: dict[Partition, list[Item]] = {}
        waiting = sorted((p for p in partitions if p.items), key=lambda p: p.number)
        turns = deque(waiting)
        turns.rotate(-sum(p.number <= self._last for p in waiting))
        frames = 0
        while turns and frames < self._max_batch:
            partition = turns.popleft()
            item = partition.take_ready()
            if item is None:
                continue
            taken.setdefault(partition, []).append(item)
            frames += item.steps
            self._last = partition.number
            turns.append(partition)
        return taken


def waves(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Sort records into waves: the k-th frame of each stream, and what precedes it, in wave k.

    A wave holds at most one frame of a stream, as the last of the stream's records in it; the
    order of a stream's records is kept within a wave and from wave to wave.
    """
    frames_before: Counter[Stream | None] = Counter()
    sorted_items: list[list[Item]] = []
    for item in items:
        wave = frames_before[item.stream]
        if wave == len(sorted_items):
            sorted_items.append([])
        sorted_items[wave].append(item)
        frames_before[item.stream] += item.steps
    return iter(sorted_items)
