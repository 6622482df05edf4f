"""Pauses reading while too many bytes wait for the engine."""

from collections.abc import Callable, Mapping

from pipeline.broker.contract import FrameConsumer
from pipeline.streams.partition import Partition

LITTLE = 4  # a partition holds little if it holds less than 1/LITTLE of an equal share


class Throttle:
    """Pauses reading above `most_bytes` in memory, and resumes it below half of that.

    Each waiting record counts its own size plus `input_bytes`, the size of its input array; a
    picture that is not decoded yet also counts unpacked (`undecoded_bytes`, by partition), because
    34 bytes can be a hundred megabytes. Above the limit, a partition that holds little is still
    read, so that the backlog of one does not stop the others. It pauses only when it holds more
    than 1/LITTLE of an equal share, and resumes below half of that. All together hold at most
    `most_bytes` and a quarter, and what a poll returns.
    """

    def __init__(
        self,
        consumer: FrameConsumer,
        *,
        most_bytes: int,
        input_bytes: int,
        undecoded_bytes: Callable[[int], int],
    ) -> None:
        self._consumer = consumer
        self._most_bytes = most_bytes
        self._input_bytes = input_bytes
        self._undecoded_bytes = undecoded_bytes
        self.paused: frozenset[int] = frozenset()

    def look(self, partitions: Mapping[int, Partition]) -> None:
        """Pause or resume reading, depending on the bytes that wait in the partitions."""
        waiting = {
            n: p.pending_bytes + len(p.items) * self._input_bytes + self._undecoded_bytes(n)
            for n, p in partitions.items()
        }
        total = sum(waiting.values())
        running = {number for number, p in partitions.items() if p.opened}
        little = self._most_bytes // (LITTLE * len(partitions)) if partitions else 0
        paused = self.paused & running
        relieved, full = total < self._most_bytes // 2, total > self._most_bytes
        resumed = {number for number in paused if relieved or waiting[number] < little // 2}
        more = {number for number in running - paused if full and waiting[number] > little}
        self.paused = paused - resumed | more
        if resumed:
            self._consumer.resume(sorted(resumed))
        if more:
            self._consumer.pause(sorted(more))
