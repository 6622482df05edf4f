"""What the worker counts, as Prometheus metrics. Inner modules return facts; only this counts them.

No label has a value per stream: ten thousand cameras cost as many series as one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from pipeline.checkpoint import PartitionCheckpoint
from pipeline.device_metrics import DeviceMetrics
from pipeline.partition import Item, Partition
from pipeline.records import Fate, Reset

AGE_BUCKETS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60)
ENGINE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
COMMIT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class WorkerMetrics:
    """The metrics of one worker in a registry of their own. Durations in seconds."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter, which nobody reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.device = DeviceMetrics()
        self.registry.register(self.device)
        self._info = Info(
            "longtake_worker", "Who this is and what it runs.", registry=self.registry
        )
        self._fates = Counter(
            "longtake_records",
            "Input records by how they ended, once committed.",
            ["fate"],
            registry=self.registry,
        )
        self._resets = Counter(
            "longtake_resets",
            "Times that a stream's memory started afresh.",
            ["reason"],
            registry=self.registry,
        )
        for fate in Fate:
            self._fates.labels(fate)
        for reset in Reset:
            self._resets.labels(reset)
        self._age = Histogram(
            "longtake_prediction_age_seconds",
            "From a frame's capture to its prediction being in the log.",
            buckets=AGE_BUCKETS,
            registry=self.registry,
        )
        self._engine = Histogram(
            "longtake_engine_seconds",
            "One batch through encoder and head.",
            buckets=ENGINE_BUCKETS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "longtake_batch_frames",
            "Frames in a batch.",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self._commit = Histogram(
            "longtake_commit_seconds",
            "From freezing a checkpoint to its being in the log.",
            buckets=COMMIT_BUCKETS,
            registry=self.registry,
        )
        self._aborts = Counter(
            "longtake_commit_failures",
            "Commits that failed, by error.",
            ["error"],
            registry=self.registry,
        )
        self._restores = Counter(
            "longtake_restored_partitions",
            "Partitions restored from the changelog.",
            registry=self.registry,
        )
        self._unavailable = Counter(
            "longtake_broker_unavailable", "Polls that found no broker.", registry=self.registry
        )
        self._stalls = Counter(
            "longtake_stalled_partitions",
            "Times that reading stood still and was sought anew.",
            registry=self.registry,
        )
        self._partitions = Gauge(
            "longtake_partitions", "Partitions that are ours.", registry=self.registry
        )
        self._streams = Gauge(
            "longtake_streams", "Streams whose memory we hold.", registry=self.registry
        )
        self._pending = Gauge(
            "longtake_pending_bytes", "Frames polled and not yet finished.", registry=self.registry
        )
        self._ready = Gauge(
            "longtake_ready", "1 when all our partitions are restored.", registry=self.registry
        )

    def runs(self, *, worker: str, bundle: str, engine: str) -> None:
        """Its engine is there."""
        self._info.info({"worker": worker, "bundle": bundle, "engine": engine})

    def turned(self, partitions: Collection[Partition], *, ready: bool) -> None:
        """The worker went once around."""
        self._partitions.set(len(partitions))
        self._streams.set(sum(len(p.streams) for p in partitions))
        self._pending.set(sum(p.pending_bytes for p in partitions))
        self._ready.set(ready)

    def batch(self, items: Sequence[Item], *, seconds: float, resets: Iterable[Reset]) -> None:
        """One batch went through the engine."""
        frames = sum(item.pixels is not None for item in items)
        if frames:
            self._engine.observe(seconds)
            self._batch.observe(frames)
        for reset in resets:
            self._resets.labels(reset).inc()

    def committed(self, part: PartitionCheckpoint, *, seconds: float, now_s: float) -> None:
        """A partition's part of a checkpoint is in the log."""
        self._commit.observe(seconds)
        for fate, count in part.fates.items():
            self._fates.labels(fate).inc(count)
        for captured_us in part.captured_us:
            self.published(captured_us, now_s=now_s)

    def published(self, captured_us: int, *, now_s: float) -> None:
        """A prediction of a frame is in the log."""
        self._age.observe(max(0.0, now_s - captured_us / 1e6))

    def aborted(self, errors: Mapping[str, int]) -> None:
        """These commits failed since the last time."""
        for error, count in errors.items():
            self._aborts.labels(error).inc(count)

    def restored(self, partition: Partition) -> None:
        """A partition's memory is back."""
        del partition
        self._restores.inc()

    def stalled(self) -> None:
        """A partition stood still."""
        self._stalls.inc()

    def broker_unavailable(self) -> None:
        """A poll found no broker."""
        self._unavailable.inc()
