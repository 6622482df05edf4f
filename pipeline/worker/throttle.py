"""Pauses reading while too many bytes wait for the engine."""

from collections.abc import Mapping

from pipeline.broker.contract import FrameConsumer
from pipeline.streams.partition import Partition


class Throttle:
    """Pauses reading above `most_bytes` in memory, and resumes it below half of that.

    Each waiting record counts its own size plus `input_bytes`, the size of its input array, because
    a small picture can decode to a thousand times its size.
    """

    def __init__(self, consumer: FrameConsumer, *, most_bytes: int, input_bytes: int) -> None:
        self._consumer = consumer
        self._most_bytes = most_bytes
        self._input_bytes = input_bytes
        self.paused = False

    def look(self, partitions: Mapping[int, Partition]) -> None:
        """Pause or resume reading, depending on the bytes that wait in the partitions."""
        waiting = sum(
            p.pending_bytes + len(p.items) * self._input_bytes for p in partitions.values()
        )
        running = [number for number, p in partitions.items() if p.opened]
        if not self.paused and waiting > self._most_bytes:
            self.paused = True
            self._consumer.pause(running)
        elif self.paused and waiting < self._most_bytes // 2:
            self.paused = False
            self._consumer.resume(running)
