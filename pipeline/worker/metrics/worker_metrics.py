"""The worker's Prometheus metrics. Inner modules return values; only this package counts them.

No label has a value per stream, except for the streams that the operator lists (`stream_metrics`):
ten thousand cameras cost as many series as one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

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

from pipeline.broker.checkpoint import PartitionCheckpoint
from pipeline.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    CommitTimedOutError,
    CrashingFrameError,
    FencedError,
    MalformedRecordError,
    RefusedBatchError,
    TooManyStreamsError,
    UndecodableFrameError,
)
from pipeline.records import Destination, Fate, Frame, Outgoing, Reset
from pipeline.streams.item import Item
from pipeline.streams.open_checkpoint import Departure
from pipeline.streams.partition import Partition
from pipeline.worker.metrics.device_metrics import DeviceMetrics
from pipeline.worker.metrics.model_metrics import ModelMetrics
from pipeline.worker.metrics.stream_metrics import StreamMetrics

STAGES = ("polled", "batched", "published")
DEAD_LETTER_REASONS = (
    MalformedRecordError.reason,
    RefusedBatchError.reason,
    TooManyStreamsError.reason,
    UndecodableFrameError.reason,
    CrashingFrameError.reason,
    str(Reset.NONFINITE),
)
COMMIT_ERRORS = (BrokerUnavailableError, CommitRefusedError, CommitTimedOutError, FencedError)

AGE_BUCKETS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60, 300)
DECODE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
ENGINE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
COMMIT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
RESTORE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class WorkerMetrics:
    """The metrics of one worker in a registry of their own. Durations in seconds.

    Every value of a counter's label exists from the start: Prometheus does not see the first
    increase of a series that did not exist before.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second, unused series per counter
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.device, self.streams = DeviceMetrics(), StreamMetrics()
        self.registry.register(self.device)
        self.registry.register(self.streams)
        self.model = ModelMetrics(self.registry)
        self._info = Info(
            "longtake_worker", "Who this is and what it runs.", registry=self.registry
        )
        self._make_histograms()
        self._make_counters()
        self._make_gauges()

    def _make_histograms(self) -> None:
        histogram = partial(Histogram, registry=self.registry)
        age = histogram(
            "longtake_frame_age_seconds",
            "Since a frame's capture: when it is polled, when its batch begins (it is decoded"
            " then), and when its prediction is in the log.",
            ["stage"],
            buckets=AGE_BUCKETS,
        )
        self._polled, self._batched, self._published = (age.labels(stage) for stage in STAGES)
        self._decode = histogram(
            "longtake_decode_seconds", "Decoding of one record.", buckets=DECODE_BUCKETS
        )
        self._engine = histogram(
            "longtake_engine_seconds", "One batch through encoder and head.", buckets=ENGINE_BUCKETS
        )
        self._batch = histogram(
            "longtake_batch_frames", "Frames in a batch.", buckets=BATCH_BUCKETS
        )
        self._commit = histogram(
            "longtake_commit_seconds",
            "From freezing a checkpoint to its being in the log, once per partition.",
            buckets=COMMIT_BUCKETS,
        )
        self._restore = histogram(
            "longtake_restore_seconds",
            "From a partition's becoming ours, or its memory's being dropped, to its being read.",
            buckets=RESTORE_BUCKETS,
        )

    def _make_counters(self) -> None:
        counter = partial(Counter, registry=self.registry)
        self._fates = counter(
            "longtake_records", "Input records by how they ended, once committed.", ["fate"]
        )
        self._expired = counter(
            "longtake_expired_records", "Records that retention deleted before they were read."
        )
        self._letters = counter(
            "longtake_dead_letters", "Dead letters by reason, once committed.", ["reason"]
        )
        self._unwritten = counter(
            "longtake_dead_letters_omitted", "Dead letters above the limit, once committed."
        )
        self._written = counter(
            "longtake_written_bytes", "Bytes of values that are in the log.", ["destination"]
        )
        self._aborts = counter("longtake_commit_failures", "Commits that failed.", ["error"])
        self._unavailable = counter("longtake_broker_unavailable", "Polls that found no broker.")
        self._stalls = counter(
            "longtake_stalled_partitions", "Times that reading stood still and was sought anew."
        )
        self._parked = counter(
            "longtake_video_decoders_parked", "Decoders of H.264 closed because of the limit."
        )
        self._parked_before = 0
        known: list[tuple[Counter, Iterable[str]]] = [
            (self._fates, Fate),
            (self._letters, DEAD_LETTER_REASONS),
            (self._written, Destination),
            (self._aborts, [error.__name__ for error in COMMIT_ERRORS]),
        ]
        for metric, values in known:
            for value in values:
                metric.labels(value)

    def _make_gauges(self) -> None:
        gauge = partial(Gauge, registry=self.registry)
        self._partitions = gauge("longtake_partitions", "Partitions that are ours.")
        self._pending = gauge("longtake_pending_bytes", "Frames polled and not yet finished.")
        self._lag = gauge(
            "longtake_lag_records",
            "Records of our partitions that are in the log and not finished, every few seconds.",
        )
        self._decoders = gauge("longtake_video_decoders", "Open decoders of H.264.")
        self._ready = gauge(
            "longtake_ready", "1 when all our partitions are restored and Kafka answers."
        )
        self._silent = gauge(
            "longtake_broker_silent_seconds",
            "How long Kafka has left our oldest question about the group or the log unanswered.",
        )
        self._uncommitted = gauge(
            "longtake_commit_pending_seconds",
            "How long the present checkpoint has been waiting for its commit; 0 if none is.",
        )

    def set_info(self, *, worker: str, bundle: str, engine: str) -> None:
        """Set the worker's name, its bundle and its engine."""
        self._info.info({"worker": worker, "bundle": bundle, "engine": engine})

    def set_decoders(self, *, open_now: int, parked: int) -> None:
        """Set how many decoders of H.264 are open, and how often one was closed for another."""
        self._decoders.set(open_now)
        self._parked.inc(parked - self._parked_before)
        self._parked_before = parked

    def set_gauges(self, partitions: Collection[Partition], *, ready: bool) -> None:
        """Set the gauges at the end of a turn."""
        self._partitions.set(len(partitions))
        self._pending.set(sum(p.pending_bytes for p in partitions))
        self._ready.set(ready)

    def set_waits(self, silent_s: float, pending_s: float) -> None:
        """Set how long Kafka has been silent, and how long a checkpoint has not been committed."""
        self._silent.set(silent_s)
        self._uncommitted.set(pending_s)

    def set_lag(self, records: int) -> None:
        """Set how many records of our partitions are not finished, in the log or in this worker."""
        self._lag.set(records)

    def polled(self, captured_us: int, *, now_s: float) -> None:
        """Record the age of a polled frame."""
        self._polled.observe(_age_s(captured_us, now_s))

    def decoded(self, seconds: float) -> None:
        """Record how long a decode took, whether or not it succeeded. From any thread."""
        self._decode.observe(seconds)

    def batch(
        self, items: Sequence[Item], *, began_s: float, seconds: float, resets: Iterable[Reset]
    ) -> None:
        """Record one batch that went through the engine; it began at `began_s` since 1970."""
        frames = 0
        for item in items:
            if item.steps and isinstance(item.record, Frame):
                frames += 1
                self._batched.observe(_age_s(item.record.captured_us, began_s))
        if frames:
            self._engine.observe(seconds)
            self._batch.observe(frames)
        self.model.count_predictions(items, resets)
        self.streams.finished(items)

    def committed(self, part: PartitionCheckpoint, *, seconds: float, now_s: float) -> None:
        """Record that a partition's part of a checkpoint is in the log."""
        self._commit.observe(seconds)
        for fate, count in part.fates.items():
            self._fates.labels(fate).inc(count)
        self._expired.inc(part.expired)
        for captured_us in part.captured_us:
            self._published.observe(_age_s(captured_us, now_s))
        letters = self._count_written(part.outgoing)
        self._unwritten.inc(part.fates.get(Fate.DEAD_LETTERED, 0) - letters)

    def departed(self, departures: Sequence[Departure], *, now_s: float) -> None:
        """Record predictions that are in the log before their checkpoint."""
        for departure in departures:
            self._published.observe(_age_s(departure.captured_us, now_s))
        self._count_written([departure.outgoing for departure in departures])

    def _count_written(self, written: Iterable[Outgoing]) -> int:
        """Count what is in the log. Returns how many of it are dead letters."""
        letters = 0
        sizes = dict.fromkeys(Destination, 0)
        for out in written:
            sizes[out.destination] += len(out.value or b"")
            if out.destination is Destination.DEAD_LETTERS:
                self._letters.labels(dict(out.headers)["reason"].decode()).inc()
                letters += 1
        for destination, size in sizes.items():
            self._written.labels(destination).inc(size)
        return letters

    def aborted(self, errors: Mapping[str, int]) -> None:
        """Count commits that failed since the last call, by error."""
        for error, count in errors.items():
            self._aborts.labels(error).inc(count)

    def restored(self, partition: Partition) -> None:
        """Record that a partition's memory is restored."""
        self.streams.restored(partition.streams)

    def opened(self, seconds: float) -> None:
        """Record how long it took from the request of a restore until the partition is read."""
        self._restore.observe(seconds)

    def stalled(self) -> None:
        """Count a partition whose reading did not advance."""
        self._stalls.inc()

    def broker_unavailable(self) -> None:
        """Count a poll that reached no broker."""
        self._unavailable.inc()


def _age_s(captured_us: int, now_s: float) -> float:
    return max(0.0, now_s - captured_us / 1e6)
