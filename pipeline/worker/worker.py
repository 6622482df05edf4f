"""The worker's loop: frames in, predictions and memory out, through one owner thread.

The owner thread has the consumer, the memory of streams and the open checkpoints. Executors do the
blocking work: decoding, writing transactions, publishing, reading changelogs.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import wait

from pipeline.broker.contract import Broker
from pipeline.clock import Clock
from pipeline.config import Delivery, Overload, WorkerConfig
from pipeline.delivery.committer import Committer, SettledPart
from pipeline.delivery.freezer import Freezer
from pipeline.delivery.outbox import Outbox
from pipeline.delivery.ownership import Ownership
from pipeline.delivery.restore import RestorePolicy
from pipeline.delivery.restorer import Restorer
from pipeline.delivery.stall import StallDetector
from pipeline.delivery.topic_check import TopicCheck
from pipeline.delivery.topic_watch import TopicWatch
from pipeline.media.decoder import Decoder
from pipeline.media.video.lanes.fitting import OpenFitting
from pipeline.records import Frame, Record
from pipeline.streams.served import ServedModel
from pipeline.tracing.frame_traces import FrameTraces
from pipeline.worker.decoding import DecodeCosts, Decoding
from pipeline.worker.executors import Executors
from pipeline.worker.membership import Membership
from pipeline.worker.metrics.census import Census
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.partition_reading import Reading
from pipeline.worker.readiness import Readiness
from pipeline.worker.throttle import Throttle
from pipeline.worker.trouble_log import TroubleLog

log = logging.getLogger(__name__)


class Worker:
    """One member of the group. Call `turn` in a loop, and `stop` at the end.

    It owns all its parts except model and executors. `sandboxed` decodes frames that may have ended
    a worker before, `sandboxed_fitting` such units. Raises `StopError` and `EngineError` alone.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        name: str,
        broker: Broker,
        model: ServedModel,
        sandboxed: Decoder,
        sandboxed_fitting: OpenFitting | None = None,
        executors: Executors,
        clock: Clock,
        metrics: WorkerMetrics,
        traces: FrameTraces | None = None,
    ) -> None:
        self._config, self._model = config, model
        self._executors, self._clock = executors, clock
        self._metrics, self._traces = metrics, traces
        bundle, count = model.bundle, broker.partition_count()
        metrics.model.set_labels(bundle.labels)
        metrics.streams.expect(config.expected_streams)
        self._freezer = Freezer(
            model.engine, bundle=bundle.digest, group=config.group, worker=name, partitions=count
        )
        self._reader = broker.changelog()
        self._writer = broker.writer()
        self._consumer = broker.consumer()
        reads, engine, rows = executors.reads, model.engine, model.rows
        self._outputs = Ownership(config, broker, self._reader, count, reads=reads, clock=clock)
        policy = RestorePolicy.of(config, bundle, partitions=count)
        restorer = Restorer(
            self._outputs, policy, reads=reads, engine=engine, rows=rows, clock=clock
        )
        self._membership = Membership(restorer, model.rows)
        self._committer = Committer(
            self._writer, self._reader, writes=executors.writes, reads=executors.reads, clock=clock
        )
        self._outlet = broker.outlet()
        self._outbox = Outbox(self._outlet, sends=executors.sends, clock=clock)
        stalls = StallDetector(self._reader, reads=executors.reads, clock=clock)
        self._decoding = Decoding(
            model.decoder,
            sandboxed,
            chains=model.sandboxed_chains(sandboxed_fitting),
            costs=DecodeCosts.of(config, bundle.input),
            executor=executors.decodes,
            clock=clock,
            metrics=metrics,
            traces=traces,
        )
        throttle = Throttle(
            self._consumer,
            most_bytes=config.max_pending_bytes,
            input_bytes=model.input_bytes,
            undecoded_bytes=self._decoding.undecoded_bytes,
        )
        self._troubles = TroubleLog()
        self._reading = Reading(
            self._consumer,
            stalls,
            TopicWatch(self._reader, reads=reads, clock=clock),
            self._membership,
            throttle=throttle,
            troubles=self._troubles,
            metrics=metrics,
            clock=clock,
        )
        self.readiness = Readiness(
            self._membership,
            self._consumer,
            stalls,
            self._committer,
            TopicCheck(broker.partition_count, reads=executors.reads, clock=clock),
            session_timeout_s=config.session_timeout_s,
            clock=clock,
        )
        self._census = Census(metrics.model, model.rules, clock=clock)
        self._frozen_s = clock.monotonic()
        self.turns = self.restores = 0

    def turn(self) -> None:
        """Run the loop once: poll, admit, restore, commit, predict one batch."""
        self.turns += 1
        since_s = self._clock.monotonic() - self._frozen_s
        self._consumer.delay_joins(delayed=self._committer.commit_in_flight is not None)
        busy = not self.ready or self._committer.busy or self._outbox.size > 0
        polled = self._reading.poll(busy=busy, due_s=self._config.checkpoint_s - since_s)
        for event in polled.events:
            self._membership.handle(event)
        self._membership.follow(self._consumer.member())
        self._admit(polled.records)
        self._take_over()
        self._depart()
        self._commit(due_s=self._config.checkpoint_s)
        self._predict()
        self._reading.look()
        self._outputs.look()
        why = str(self._committer.failure or self._outbox.trouble)
        self.readiness.look(self._metrics.set_waits, why=why)
        self._troubles.look(self._committer.failure)
        self._metrics.set_gauges(self._membership.partitions.values(), ready=self.ready)
        self._census.look(self._membership.partitions.values())

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what is finished and leave the group. Another worker reads the rest again."""
        deadline_s = self._clock.monotonic() + timeout_s
        while self._clock.monotonic() < deadline_s and self._unsettled:
            self._depart()
            self._commit(due_s=0.0)
            for executor in (self._executors.sends, self._executors.writes):
                wait([executor.submit(lambda: None)], timeout=0.1)  # behind all earlier tasks
        if self._unsettled:
            log.warning("not all is committed after %g s; it will be read again", timeout_s)
        self.close()

    def close(self) -> None:
        """Close all connections at once and commit nothing."""
        self._consumer.close()
        self._writer.close()
        self._outlet.close()
        self._reader.close()
        self._outputs.close()

    @property
    def ready(self) -> bool:
        """See `Readiness`."""
        return self.readiness.ready

    @property
    def partitions(self) -> frozenset[int]:
        """The numbers of our restored partitions."""
        return frozenset(self._membership.partitions)

    @property
    def commit_in_flight(self) -> int | None:
        """The number of the commit that is being written; None if there is none."""
        return self._committer.commit_in_flight

    @property
    def idle(self) -> bool:
        """Whether everything polled is finished and committed."""
        pending = any(partition.items for partition in self._membership.partitions.values())
        return self.ready and not self._unsettled and not pending

    @property
    def _unsettled(self) -> bool:
        return (
            self._committer.busy
            or self._outbox.size > 0
            or any(p.dirty for p in self._membership.partitions.values())
        )

    @property
    def trouble(self) -> str:
        """Why the broker cannot be used now; empty if it can."""
        return self._troubles.trouble

    def _take_over(self) -> None:
        """Take restored partitions. They are read once their attempt count is in the log."""
        for partition in self._membership.take_restored(self._committer.holds):
            self.restores += 1
            self._metrics.restored(partition)

    def _admit(self, records: Sequence[Record]) -> None:
        now_s, traces = self._clock.time(), self._traces
        for record in records:
            partition = self._membership.partitions.get(record.partition)
            if partition is None or not partition.opened:
                continue  # polled before the partition was dropped; read again after the restore
            item = self._model.admit(partition, record)
            if item is not None and isinstance(item.record, Frame):
                self._metrics.polled(item.record.captured_us, now_s=now_s)
                if traces is not None:
                    traces.poll(item.record, era=partition.era, now_s=now_s)
            if item is not None and item.undecoded is not None:
                suspected = record.offset < partition.suspects_end
                self._decoding.begin(item, item.undecoded, suspected=suspected)
        self._decoding.submit_units(self._membership.partitions.values())

    def _predict(self) -> None:
        partitions = list(self._membership.partitions.values())
        if self._config.overload is Overload.LATEST:
            for partition in partitions:
                partition.keep_newest()
        waiting = self._outbox.size + sum(p.open_records for p in partitions)
        open_bytes = sum(p.open_bytes for p in partitions)
        if waiting >= self._config.max_open_records or open_bytes >= self._config.max_pending_bytes:
            return  # commits are behind; polling goes on so that the group keeps us
        began_s, now_s = self._clock.monotonic(), self._clock.time()
        stepped = self._model.step(partitions)
        self._decoding.follow(partitions, stepped.items)
        if not stepped.batch:
            gathers = self._config.delivery is Delivery.EXACTLY_ONCE  # none leaves before a commit
            self._decoding.wait(partitions, batch=self._config.max_batch if gathers else 1)
            return
        seconds = self._clock.monotonic() - began_s
        self._metrics.batch(stepped.items, began_s=now_s, seconds=seconds, resets=stepped.resets)
        if self._traces is not None:
            self._traces.step(partitions, stepped.items, began_s=now_s, ended_s=now_s + seconds)
        self._metrics.device.set_facts(self._model.engine.facts)
        self._depart()

    def _depart(self) -> None:
        """Low latency: publish predictions before their checkpoint, count those that arrived."""
        if self._config.delivery is not Delivery.LOW_LATENCY:
            return
        headers = self._freezer.headers(self._membership.generation, self._clock.time())
        for partition in self._membership.partitions.values():
            self._outbox.put(partition.departures(headers))
        self._metrics.departed(self._outbox.advance(), now_s=self._clock.time())

    def _commit(self, *, due_s: float) -> None:
        member, partitions = self._membership.member, self._membership.partitions
        eras = {number: partition.era for number, partition in partitions.items()}
        for settled in self._committer.advance(member, eras):
            self._settle(settled)
        self._metrics.aborted(self._committer.take_aborts())
        now_s = self._clock.monotonic()
        early = now_s - self._frozen_s < due_s and len(self._membership.opened) == len(partitions)
        refused = due_s > 0 and self._consumer.is_joining()  # probably
        if member is None or self._committer.busy or early or refused:
            return
        dirty = [partition for partition in partitions.values() if partition.dirty]
        if not dirty:
            return
        self._frozen_s = now_s
        checkpoint = self._freezer.freeze(
            dirty,
            generation=member.generation,
            evicted={p.number: p.sweep(self._model.rules, self._model.rows) for p in dirty},
            now_s=self._clock.time(),
        )
        before = self._outbox.taken
        self._committer.submit(checkpoint, member, when=lambda: self._outbox.departed >= before)

    def _settle(self, settled: SettledPart) -> None:
        part = settled.part
        partition = self._membership.partitions.get(part.partition)
        if partition is None or partition.era != part.era:
            return
        if not settled.committed:
            log.warning(
                "partition %d: checkpoint %d is lost; restoring", part.partition, part.number
            )
            self._membership.restore_again([part.partition])
            return
        if partition.settle(part.number):
            self._metrics.opened(self._clock.monotonic() - partition.wanted_s)
            self._census.hasten()
            self._consumer.start(part.partition, partition.read_from)
        now_s = self._clock.time()
        self._metrics.committed(part, seconds=settled.seconds, now_s=now_s)
        if self._traces is not None:
            self._traces.commit(part, began_s=now_s - settled.seconds, ended_s=now_s)
