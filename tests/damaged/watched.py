"""A real worker in the test's own thread, with a watch on every turn and every decode."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from engines.base import InputArray
from engines.model.bundle import Bundle, load_bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig
from pipeline.media.kinds import decoder_for
from pipeline.records import Fate
from pipeline.streams.served import ServedModel
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.worker import Executors, Worker
from tests.clusters import Cluster

PATIENCE_S = 60.0


class Watched:
    """A worker on a cluster. Not safe from several threads: `turn_until` is its only life."""

    def __init__(self, cluster: Cluster, bundle: Path, config: WorkerConfig) -> None:
        self.bundle: Bundle = load_bundle(bundle)
        self.slowest_turn_s = 0.0  # by the clock on the wall, as its probes and its group see it
        self.slowest_decode_s = 0.0  # of a processor's time, whatever else runs on this machine
        self._decode = decoder_for(self.bundle.input)
        self._pools = ExitStack()
        pools = [self._pools.enter_context(ThreadPoolExecutor(1)) for _ in range(4)]
        engine = onnxruntime_engine(self.bundle, 1)
        self.metrics = WorkerMetrics()
        self.worker = Worker(
            config,
            name="watched",
            broker=cluster.broker("watched"),
            model=ServedModel.configured(config, self.bundle, engine, decoder=self.decode),
            sandboxed=self.decode,
            executors=Executors(*pools),
            clock=SystemClock(),
            metrics=self.metrics,
        )

    def __enter__(self) -> "Watched":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.worker.close()
        self._pools.close()

    def decode(self, content: bytes, /) -> InputArray:
        """See `Decoder`; timed."""
        began_s = time.thread_time()
        try:
            return self._decode(content)
        finally:
            self.slowest_decode_s = max(self.slowest_decode_s, time.thread_time() - began_s)

    def turn_until(self, records: int) -> None:
        """Turn until so many records are in the ledger of the log."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (self.worker.idle and self.committed >= records):
            assert time.monotonic() < deadline_s, f"{self.committed} of {records} are committed"
            began_s = time.monotonic()
            self.worker.turn()
            self.slowest_turn_s = max(self.slowest_turn_s, time.monotonic() - began_s)

    @property
    def committed(self) -> int:
        """How many records have a fate that is in the log."""
        return sum(self.fates.values())

    @property
    def fates(self) -> dict[Fate, int]:
        """The fates that are in the log."""
        look = self.metrics.registry.get_sample_value
        counts = {fate: look("longtake_records_total", {"fate": fate}) for fate in Fate}
        return {fate: round(count or 0) for fate, count in counts.items()}
