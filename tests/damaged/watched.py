"""A real worker in the test's own thread that measures every turn and every decode."""

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
from pipeline.media.kinds import decoder_for, early_refusal_for
from pipeline.media.video.lanes.fitting import OpenFitting
from pipeline.records import Fate
from pipeline.streams.served import ServedModel
from pipeline.worker.executors import Executors
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.worker import Worker
from tests.clusters import Cluster

PATIENCE_S = 60.0


class MeasuredWorker:
    """A worker on a cluster, which runs only inside `turn_until`. Not thread-safe.

    `open_fitting` opens the decoders of its units of H.264; None: units are records like others.
    """

    def __init__(
        self,
        cluster: Cluster,
        bundle: Path,
        config: WorkerConfig,
        *,
        open_fitting: OpenFitting | None = None,
    ) -> None:
        self.bundle: Bundle = load_bundle(bundle)
        self.slowest_turn_s = 0.0  # wall-clock time, which its probes and its group depend on
        self.slowest_turn_cpu_s = 0.0  # CPU time of the same
        self.slowest_decode_s = 0.0  # CPU time, independent of the machine's load
        self._decode = decoder_for(self.bundle.input, max_frame_pixels=config.max_frame_pixels)
        self._pools = ExitStack()
        pools = [self._pools.enter_context(ThreadPoolExecutor(1)) for _ in range(4)]
        engine = onnxruntime_engine(self.bundle, 1)
        self.metrics = WorkerMetrics()
        self.worker = Worker(
            config,
            name="watched",
            broker=cluster.broker("watched"),
            model=ServedModel.configured(
                config,
                self.bundle,
                engine,
                decoder=self.decode,
                open_fitting=open_fitting,
                refused=early_refusal_for(
                    self.bundle.input, max_frame_pixels=config.max_frame_pixels
                ),
            ),
            sandboxed=self.decode,
            executors=Executors(*pools),
            clock=SystemClock(),
            metrics=self.metrics,
        )

    def __enter__(self) -> "MeasuredWorker":
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

    def turn_until(self, records: int, *, patience_s: float = PATIENCE_S) -> None:
        """Call `turn` until the committed ledger has this number of records."""
        deadline_s = time.monotonic() + patience_s
        while not (self.worker.idle and self.committed >= records):
            assert time.monotonic() < deadline_s, f"{self.committed} of {records} are committed"
            began_s, began_cpu_s = time.monotonic(), time.thread_time()
            self.worker.turn()
            self.slowest_turn_cpu_s = max(self.slowest_turn_cpu_s, time.thread_time() - began_cpu_s)
            self.slowest_turn_s = max(self.slowest_turn_s, time.monotonic() - began_s)

    @property
    def committed(self) -> int:
        """Return how many records have a committed fate."""
        return sum(self.fates.values())

    @property
    def fates(self) -> dict[Fate, int]:
        """Return the committed fates."""
        look = self.metrics.registry.get_sample_value
        counts = {fate: look("longtake_records_total", {"fate": fate}) for fate in Fate}
        return {fate: round(count or 0) for fate, count in counts.items()}
