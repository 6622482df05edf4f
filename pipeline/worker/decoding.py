"""Submits frames to the decoders, and waits for results."""

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from functools import partial

from engines.base import InputArray
from pipeline.clock import Clock
from pipeline.media.decoder import Decoder
from pipeline.records import Frame
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.worker.fair_executor import FairExecutor
from pipeline.worker.metrics.worker_metrics import WorkerMetrics

DECODE_WAIT_S = 0.005


class Decoding:
    """The worker's decoders, shared fairly by the partitions.

    `sandboxed` decodes frames that may have killed a worker before; the worker survives them there.
    """

    def __init__(
        self,
        decoder: Decoder,
        sandboxed: Decoder,
        *,
        executor: Executor,
        clock: Clock,
        metrics: WorkerMetrics,
    ) -> None:
        self._decoder = decoder
        self._sandboxed = sandboxed
        self._fair = FairExecutor[InputArray](executor)
        self._clock = clock
        self._metrics = metrics

    def begin(self, item: Item, frame: Frame, *, suspected: bool) -> None:
        """Submit the decode of a frame that admission let through."""
        decoder = self._sandboxed if suspected else self._decoder
        call = partial(self._decode, decoder, frame.content)
        item.decode(self._fair.submit(frame.partition, call))

    def _decode(self, decoder: Decoder, content: bytes) -> InputArray:
        """Decode in a thread of the pool, and record how long it takes."""
        began_s = self._clock.monotonic()
        try:
            return decoder(content)
        finally:
            self._metrics.decoded(self._clock.monotonic() - began_s)

    def wait(self, partitions: Iterable[Partition]) -> None:
        """Wait at most DECODE_WAIT_S until the next record of some partition is decoded."""
        heads = [p.items[0].input for p in partitions if p.items]
        futures = [future for future in heads if future is not None]
        if futures:
            wait(futures, timeout=DECODE_WAIT_S, return_when=FIRST_COMPLETED)
