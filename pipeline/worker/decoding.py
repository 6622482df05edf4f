"""Submits frames to the decoders, counts what they have not decoded, and waits for results."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

from engines.base import InputArray
from engines.model.inputs import InputSpec, LettersInput
from pipeline.clock import Clock
from pipeline.config import WorkerConfig
from pipeline.errors import UndecodableFrameError
from pipeline.media.decoder import Decoder
from pipeline.media.headers.picture_headers import RGB_BYTES, unpacked_bytes
from pipeline.media.video.lanes.unit_chain import ChainRules
from pipeline.records import Frame
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.tracing.frame_traces import FrameTraces
from pipeline.worker.fair_executor import FairExecutor
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.trouble_log import UnkeyedLog

DECODE_WAIT_S = 0.005
LETTERS_AT_ONCE = 4096  # bytes, read in some microseconds
Timed = TypeVar("Timed")


@dataclass(frozen=True, slots=True)
class DecodeCosts:
    """What a frame costs the decoders, and how much of it one stream may have at the same time.

    A frame costs its size and that of its picture unpacked, which `unpacked_bytes` estimates. It
    decides the order of the decodes, and no result. The pictures of one stream that are decoded at
    the same time cost `most_running` at most, or it is a single one. Records of `at_once_bytes` or
    less cost less than their way through another thread.
    """

    unpacked_bytes: Callable[[bytes], int]
    most_running: int
    at_once_bytes: int = -1

    @classmethod
    def of(cls, config: WorkerConfig, spec: InputSpec) -> Self:
        """Return the costs of pictures; other records cost their size.

        Of several threads, a stream leaves one to the others.
        """
        pixels = config.max_frame_pixels
        return cls(
            partial(unpacked_bytes, max_pixels=pixels),
            RGB_BYTES * pixels * max(1, config.decode_threads - 1),
            LETTERS_AT_ONCE if isinstance(spec, LettersInput) else -1,
        )


class Decoding:
    """The worker's decoders, shared fairly by partitions and streams.

    `sandboxed` decodes frames that may have killed a worker before; the worker survives them there.
    `traces` also get the time of each decode; None: no frame has spans.
    """

    def __init__(
        self,
        decoder: Decoder,
        sandboxed: Decoder,
        *,
        chains: ChainRules | None,
        costs: DecodeCosts,
        executor: Executor,
        clock: Clock,
        metrics: WorkerMetrics,
        traces: FrameTraces | None,
    ) -> None:
        self._decoder = decoder
        self._sandboxed = sandboxed
        self._unpacked_bytes = costs.unpacked_bytes
        self._at_once_bytes = costs.at_once_bytes
        self._chains = chains
        self._unkeyed = UnkeyedLog()
        self._fair = FairExecutor[Any](executor, most_running=costs.most_running)
        self._clock = clock
        self._metrics = metrics
        self._traces = traces
        self._lock = threading.Lock()
        self._undecoded = Counter[int]()  # unpacked bytes by partition

    def begin(self, item: Item, frame: Frame, *, suspected: bool) -> None:
        """Submit the decode of a frame that admission let through, or do it at once."""
        decoder = self._sandboxed if suspected else self._decoder
        call: Callable[[], InputArray] = partial(self._decode, decoder, frame.content)
        if self._traces is not None:
            call = self._traces.timed(frame, call)
        if len(frame.content) <= self._at_once_bytes and not suspected:
            item.decode(_done(call))
            return
        unpacked = self._unpacked_bytes(frame.content)
        self._count(frame.partition, unpacked)
        cost = 1 + len(frame.content) + unpacked
        future = self._fair.submit(frame.partition, frame.stream, call, cost=cost)
        item.decode(future)
        future.add_done_callback(lambda _: self._count(frame.partition, -unpacked))

    def submit_units(self, partitions: Iterable[Partition]) -> None:
        """Submit the units of H.264 that are due in these partitions."""
        if self._chains is not None:
            for partition in partitions:
                partition.submit_units(self._chains, self._post)

    def follow(self, partitions: Iterable[Partition], finished: Iterable[Item]) -> None:
        """Submit the units of streams that have begun in a batch; log what was unkeyed in it."""
        self.submit_units(partitions)
        self._unkeyed.look(finished)
        if self._chains is not None:
            limit = self._chains.limit
            self._metrics.set_decoders(open_now=limit.open, parked=limit.parked)

    def _post(self, frame: Frame, unpacked_bytes: int, call: Callable[[], None]) -> None:
        """Run the decode of a unit at its stream's turn."""
        cost = 1 + len(frame.content) + unpacked_bytes
        timed: Callable[[], None] = partial(self._time, call)
        if self._traces is not None:
            timed = self._traces.timed(frame, timed)
        self._fair.submit(frame.partition, frame.stream, timed, cost=cost)

    def undecoded_bytes(self, partition: int) -> int:
        """Return the unpacked size of the partition's pictures that are not decoded yet."""
        return self._undecoded[partition]

    def _count(self, partition: int, unpacked: int) -> None:
        with self._lock:
            self._undecoded[partition] += unpacked

    def _decode(self, decoder: Decoder, content: bytes) -> InputArray:
        """Decode in a thread of the pool."""
        return self._time(partial(decoder, content))

    def _time(self, call: Callable[[], Timed]) -> Timed:
        """Record how long a decode takes."""
        began_s = self._clock.monotonic()
        try:
            return call()
        finally:
            self._metrics.decoded(self._clock.monotonic() - began_s)

    def wait(self, partitions: Iterable[Partition], *, batch: int) -> None:
        """Wait at most DECODE_WAIT_S until the next record of some partition is decoded.

        If no more than `batch` records wait, until all of them are.
        """
        waiting = [partition.items for partition in partitions if partition.items]
        all_fit = sum(map(len, waiting)) <= batch
        awaited = [item for items in waiting for item in (items if all_fit else [items[0]])]
        futures: list[Future[Any]] = [one.decoding for one in awaited if one.decoding is not None]
        if futures:
            until = ALL_COMPLETED if all_fit else FIRST_COMPLETED
            wait(futures, timeout=DECODE_WAIT_S, return_when=until)


def _done(call: Callable[[], InputArray]) -> Future[InputArray]:
    """Decode now; what the call raises is raised where the input is wanted."""
    future: Future[InputArray] = Future()
    try:
        future.set_result(call())
    except UndecodableFrameError as exc:
        future.set_exception(exc)
    return future
