"""The worker's whole life: frames in, predictions and memory out, through one owner thread.

The owner has the consumer, the memory of streams and the open checkpoint. Three executors do what
would keep it waiting: decoding, writing transactions, reading changelogs.
"""

import logging
import math
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass
from functools import partial

from engines.base import Engine, InputArray
from engines.model.bundle import Bundle
from pipeline.broker.checkpoint import Member
from pipeline.broker.contract import Assigned, Broker, Dropped, Event, Poll
from pipeline.clock import Clock
from pipeline.config import Delivery, Overload, WorkerConfig
from pipeline.delivery.committer import Committer, SettledPart
from pipeline.delivery.freezer import Freezer
from pipeline.delivery.outbox import Outbox
from pipeline.delivery.restore import Restorer, Restoring
from pipeline.delivery.stall import StallDetector
from pipeline.errors import BrokerUnavailableError
from pipeline.media.decoder import Decoder
from pipeline.records import Frame, Record
from pipeline.streams.admission import Rules
from pipeline.streams.batch import Batcher
from pipeline.streams.partition import Partition
from pipeline.streams.predictor import Predictor
from pipeline.wire.frames import read_frame
from pipeline.wire.predictions import PredictionWriter
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.turns import Turns

log = logging.getLogger(__name__)

IDLE_POLL_S = 0.02
DECODE_WAIT_S = 0.005
POLL_RECORDS = 256
CENSUS_S = 1.0  # how often the memories of all streams are counted


@dataclass(frozen=True, slots=True)
class Executors:
    """Who does the blocking work. All but `decodes` run one task at a time."""

    decodes: Executor
    writes: Executor
    reads: Executor
    sends: Executor


class Worker:
    """One member of the group. `turn` it until it is time to `stop`.

    `careful` decodes what may have killed a worker before; it survives that.
    Raises what asks for a person (`StopError`, `EngineError`); all else is survived.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        name: str,
        broker: Broker,
        bundle: Bundle,
        engine: Engine,
        decoder: Decoder,
        careful: Decoder,
        executors: Executors,
        clock: Clock,
        metrics: WorkerMetrics,
    ) -> None:
        self._config = config
        self._engine = engine
        self._decoder = decoder
        self._careful = careful
        self._executors = executors
        self._clock = clock
        self._metrics = metrics
        count = broker.partition_count()
        self._rules = Rules.of(
            rate_hz=bundle.input.rate_hz,
            gap_reset_s=config.gap_reset_s,
            stream_ttl_s=config.stream_ttl_s,
        )
        writer = PredictionWriter(
            labels=bundle.labels, activation=bundle.activation, model=bundle.id
        )
        self._predictor = Predictor(engine, writer, self._rules, topic=broker.topics.frames)
        metrics.model.knows(bundle.labels)
        metrics.streams.expect(config.expected_streams)
        self._freezer = Freezer(engine, bundle=bundle.digest, worker=name, partitions=count)
        how = Restoring(
            bundle=bundle,
            partitions=count,
            group=config.group,
            start=config.start,
            foreign=config.foreign_state,
            delivery=config.delivery,
        )
        self._reader = broker.changelog()
        self._writer = broker.writer()
        self._consumer = broker.consumer()
        self._restorer = Restorer(
            self._reader,
            how,
            reads=executors.reads,
            engine=engine,
            rows=self._predictor.rows,
            clock=clock,
        )
        self._committer = Committer(
            self._writer,
            self._reader,
            writes=executors.writes,
            reads=executors.reads,
            clock=clock,
        )
        self._outlet = broker.outlet()
        self._outbox = Outbox(self._outlet, sends=executors.sends, clock=clock)
        self._stalls = StallDetector(self._reader, reads=executors.reads, clock=clock)
        self._decodes = Turns[InputArray](executors.decodes)
        port = bundle.input.array
        self._input_bytes = math.prod(port.shape) * port.dtype.itemsize
        self._batcher = Batcher(config.max_batch)
        self._partitions: dict[int, Partition] = {}
        self._member: Member | None = None
        self._generation = -1
        self._member_id: str | None = None
        self._frozen_s = self._counted_s = clock.monotonic()
        self._paused = False
        self.turns = 0
        # In the group, and every partition of ours restored and running. As of the end of a turn:
        # in the middle of one another thread would see partitions between two hands.
        self.ready = False
        self.restores = 0

    def turn(self) -> None:
        """Go once around: poll, admit, restore, commit, predict one batch."""
        self.turns += 1
        polled = self._poll()
        for event in polled.events:
            self._handle(event)
        self._follow(self._consumer.member())
        self._admit(polled.records)
        for partition in self._restorer.advance(self._committer.holds):
            self._take_over(partition)
        self._depart()
        self._commit(due_s=self._config.checkpoint_s)
        self._predict()
        self._throttle()
        self._look_for_stalls()
        self.ready = self._is_ready()
        self._tell()

    def _tell(self) -> None:
        """Let the metrics know how we are."""
        self._metrics.turned(self._partitions.values(), ready=self.ready)
        now_s = self._clock.monotonic()
        if now_s - self._counted_s >= CENSUS_S:
            self._counted_s = now_s
            self._metrics.model.remembers(self._partitions.values())

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what is finished and leave the group. What was only polled is read again."""
        deadline_s = self._clock.monotonic() + timeout_s
        while self._clock.monotonic() < deadline_s and self._unsettled:
            self._depart()
            self._commit(due_s=0.0)
            for executor in (self._executors.sends, self._executors.writes):
                wait([executor.submit(_nothing)], timeout=0.1)
        self.close()

    def close(self) -> None:
        """Let go of everything at once, committing nothing."""
        self._consumer.close()
        self._writer.close()
        self._outlet.close()
        self._reader.close()

    def _is_ready(self) -> bool:
        return (
            self._member is not None
            and not self._restorer.wanted
            and all(partition.opened for partition in self._partitions.values())
        )

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are ours and restored."""
        return frozenset(self._partitions)

    @property
    def commit_in_flight(self) -> int | None:
        """A number for the commit that is being written, None when there is none."""
        return self._committer.commit_in_flight

    @property
    def idle(self) -> bool:
        """Whether everything that was polled is finished and committed."""
        return self.ready and not self._unsettled and not self._pending

    @property
    def _unsettled(self) -> bool:
        return (
            self._committer.busy
            or self._outbox.size > 0
            or any(p.dirty for p in self._partitions.values())
        )

    @property
    def _pending(self) -> bool:
        return any(partition.items for partition in self._partitions.values())

    # ------------------------------------------------------------------------------- the group

    def _poll(self) -> Poll:
        try:
            return self._consumer.poll(0.0 if self._pending else IDLE_POLL_S, POLL_RECORDS)
        except BrokerUnavailableError as exc:
            self._metrics.broker_unavailable()
            log.warning("polling: %s; trying again", exc)
            return Poll((), ())

    def _handle(self, event: Event) -> None:
        numbers = sorted(event.partitions)
        self._drop(numbers)
        if isinstance(event, Dropped):
            log.info("partitions %s are no longer ours: memory dropped", numbers)
            self._restorer.forget(numbers)
            return
        if isinstance(event, Assigned):
            log.info("partitions %s are ours now", numbers)
        else:
            log.warning("partitions %s: retention has overtaken us; restoring", numbers)
        self._restorer.want(numbers)

    def _follow(self, member: Member | None) -> None:
        """Take note of who we are. Another member id says that we were away: trust no memory."""
        self._member = member
        self._generation = self._generation if member is None else member.generation
        if member is None or member.member_id == self._member_id:
            return
        numbers = sorted(self._partitions.keys() | self._restorer.wanted)
        if self._member_id is not None and numbers:
            log.warning("the group knows us by another id now: restoring partitions %s", numbers)
            self._drop(numbers)
            self._restorer.want(numbers)
        self._member_id = member.member_id

    def _drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            partition = self._partitions.pop(number, None)
            if partition is not None:
                partition.release(self._predictor.rows)

    def _take_over(self, partition: Partition) -> None:
        """Take a restored partition; it is read once the log says that we are about to try."""
        self.restores += 1
        self._partitions[partition.number] = partition
        self._metrics.restored(partition)

    # --------------------------------------------------------------------------- the frame path

    def _admit(self, records: Sequence[Record]) -> None:
        now_s = self._clock.time()
        for record in records:
            partition = self._partitions.get(record.partition)
            if partition is None or not partition.opened:
                continue  # polled before the partition was dropped; read again after the restore
            frame = read_frame(record, max_bytes=self._config.max_frame_bytes)
            item = partition.admit(frame, self._rules)
            if isinstance(frame, Frame):
                self._metrics.polled(frame.captured_us, now_s=now_s)
            if item is not None and item.fate is None and isinstance(frame, Frame):
                suspected = record.offset < partition.suspects_end
                decoder = self._careful if suspected else self._decoder
                item.input = self._decodes.submit(
                    record.partition, partial(self._decode, decoder, frame.content)
                )

    def _decode(self, decoder: Decoder, content: bytes) -> InputArray:
        """Decode in a thread of the pool, and record how long it took."""
        began_s = self._clock.monotonic()
        try:
            return decoder(content)
        finally:
            self._metrics.decoded(self._clock.monotonic() - began_s)

    def _predict(self) -> None:
        partitions = list(self._partitions.values())
        if self._config.overload is Overload.LATEST:
            for partition in partitions:
                partition.keep_newest()
        waiting = self._outbox.size + sum(len(p.outgoing) for p in partitions)
        open_bytes = sum(p.open_bytes for p in partitions)
        if waiting >= self._config.max_open_records or open_bytes >= self._config.max_pending_bytes:
            return  # the log is behind; polling goes on so that the group keeps us
        batch = self._batcher.take(partitions)
        if not batch:
            self._await_decoder(partitions)
            return
        items = [item for taken in batch.values() for item in taken]
        began_s, now_s = self._clock.monotonic(), self._clock.time()
        resets = self._predictor.run(items)
        for partition, taken in batch.items():
            partition.finish(taken)
        seconds = self._clock.monotonic() - began_s
        self._metrics.batch(items, began_s=now_s, seconds=seconds, resets=resets)
        self._metrics.device.show(self._engine.facts)
        self._depart()

    def _await_decoder(self, partitions: Sequence[Partition]) -> None:
        heads = [p.items[0].input for p in partitions if p.items]
        futures = [future for future in heads if future is not None]
        if futures:
            wait(futures, timeout=DECODE_WAIT_S, return_when=FIRST_COMPLETED)

    def _throttle(self) -> None:
        """Stop reading while too much waits for the engine; go on below half of that.

        A record counts with its decoded input: a small picture's is a thousand times as large.
        """
        waiting = sum(
            p.pending_bytes + len(p.items) * self._input_bytes for p in self._partitions.values()
        )
        running = [n for n, p in self._partitions.items() if p.opened]
        if not self._paused and waiting > self._config.max_pending_bytes:
            self._paused = True
            self._consumer.pause(running)
        elif self._paused and waiting < self._config.max_pending_bytes // 2:
            self._paused = False
            self._consumer.resume(running)

    def _depart(self) -> None:
        """Low latency: let predictions leave ahead of their checkpoint, and see who has left."""
        if self._config.delivery is not Delivery.LOW_LATENCY:
            return
        headers = self._freezer.headers(self._generation, self._clock.time())
        for partition in self._partitions.values():
            self._outbox.put(partition.departures(headers))
        self._metrics.departed(self._outbox.advance(), now_s=self._clock.time())

    def _look_for_stalls(self) -> None:
        """Seek anew where reading stands still though the log has more."""
        if not self._stalls.due:
            return
        opened = {n: p for n, p in self._partitions.items() if p.opened}
        positions = {n: at for n in opened if (at := self._consumer.position(n)) is not None}
        lost = self._stalls.look(positions, paused=self._paused)
        ends = self._stalls.ends
        self._metrics.behind(sum(max(0, ends.get(n, 0) - p.next_offset) for n, p in opened.items()))
        for number in lost:
            log.warning(
                "partition %d stands still at offset %d, the log has more: seeking there anew",
                number,
                positions[number],
            )
            self._metrics.stalled()
            self._consumer.start(number, positions[number])

    # ------------------------------------------------------------------------------ checkpoints

    def _commit(self, *, due_s: float) -> None:
        eras = {number: partition.era for number, partition in self._partitions.items()}
        for settled in self._committer.advance(self._member, eras):
            self._settle(settled)
        self._metrics.aborted(self._committer.take_aborts())
        now_s = self._clock.monotonic()
        if self._committer.busy or self._member is None or now_s - self._frozen_s < due_s:
            return
        dirty = [partition for partition in self._partitions.values() if partition.dirty]
        if not dirty:
            return
        self._frozen_s = now_s
        checkpoint = self._freezer.freeze(
            dirty,
            generation=self._member.generation,
            evicted={p.number: p.sweep(self._rules, self._predictor.rows) for p in dirty},
            now_s=self._clock.time(),
        )
        before = self._outbox.taken
        self._committer.submit(
            checkpoint, self._member, when=lambda: self._outbox.departed >= before
        )

    def _settle(self, settled: SettledPart) -> None:
        part = settled.part
        partition = self._partitions.get(part.partition)
        if partition is None or partition.era != part.era:
            return
        if not settled.committed:
            log.warning(
                "partition %d: checkpoint %d is lost; restoring", part.partition, part.number
            )
            self._drop([part.partition])
            self._restorer.want([part.partition])
            return
        partition.settled = part.number
        if not partition.opened:
            partition.opened = True
            self._metrics.opened(self._clock.monotonic() - partition.wanted_s)
            self._counted_s -= CENSUS_S  # its streams are counted in this turn
            self._consumer.start(part.partition, part.next_offset)
        self._metrics.committed(part, seconds=settled.seconds, now_s=self._clock.time())


def _nothing() -> None:
    """Do nothing, after whatever the executor has to do before."""
