"""Selects the records of the next batch, and orders them for stepping."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.stream import Stream


class Batcher:
    """Takes the records that are ready, with at most `max_batch` frames; never waits for more.

    Partitions take turns, record by record, and the next batch begins after the partition where the
    last one ended, so a backlog in one partition does not starve the others. Records that are not
    stepped do not count towards `max_batch`.
    """

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._last = -1  # the partition that had the last turn

    def take(self, partitions: Iterable[Partition]) -> dict[Partition, list[Item]]:
        """Take the records that are ready, in offset order per partition."""
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
    """Sort records into waves. Wave k has each stream's k-th frame and the records just before it.

    A wave holds at most one frame of a stream, and it is the last of that stream's records in the
    wave. The order of a stream's records is kept within a wave and from wave to wave.
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
