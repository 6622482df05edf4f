"""Hands what is to be stepped to the decoders, and waits for them."""

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from functools import partial

from engines.base import Pixels
from pipeline.clock import Clock
from pipeline.media.decoder import Decoder
from pipeline.records import Frame
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.turns import Turns

DECODE_WAIT_S = 0.005


class Decoding:
    """The worker's decoders. Partitions take turns at them.

    `careful` decodes what may have killed a worker before; it survives that.
    """

    def __init__(
        self,
        decoder: Decoder,
        careful: Decoder,
        *,
        executor: Executor,
        clock: Clock,
        metrics: WorkerMetrics,
    ) -> None:
        self._decoder = decoder
        self._careful = careful
        self._turns = Turns[Pixels](executor)
        self._clock = clock
        self._metrics = metrics

    def begin(self, item: Item, frame: Frame, *, suspected: bool) -> None:
        """Decode a frame that admission let through, some time from now."""
        decoder = self._careful if suspected else self._decoder
        call = partial(self._decode, decoder, frame.content)
        item.decode(self._turns.submit(frame.partition, call))

    def _decode(self, decoder: Decoder, content: bytes) -> Pixels:
        """Run in a thread of the pool. How long it takes is counted."""
        began_s = self._clock.monotonic()
        try:
            return decoder(content)
        finally:
            self._metrics.decoded(self._clock.monotonic() - began_s)

    def wait(self, partitions: Iterable[Partition]) -> None:
        """Wait shortly until the next record of some partition is decoded."""
        heads = [p.items[0].pixels for p in partitions if p.items]
        futures = [future for future in heads if future is not None]
        if futures:
            wait(futures, timeout=DECODE_WAIT_S, return_when=FIRST_COMPLETED)
