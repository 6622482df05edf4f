"""A simulated log with workers, in which tests trigger every turn, task, delay and crash."""

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import numpy as np

from engines.base import Engine, InputArray
from engines.model.bundle import Bundle
from engines.model.inputs import PictureInput
from pipeline.broker.contract import Poll
from pipeline.broker.memory.log import MemoryLog
from pipeline.broker.memory.memory_consumer import MemoryConsumer
from pipeline.clock import ManualClock
from pipeline.config import Delivery, WorkerConfig
from pipeline.errors import TopicError, UndecodableFrameError
from pipeline.media.decoder import Decoder
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import open_fitting_for
from pipeline.media.video.lanes.fitting import OpenFitting
from pipeline.records import Destination, Record, Topics
from pipeline.streams.partition import Partition
from pipeline.streams.served import ServedModel
from pipeline.tracing.frame_traces import FrameTraces
from pipeline.tracing.spans import Tracing
from pipeline.wire.changelog import Manifest
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from pipeline.worker.executors import Executors
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.worker import Worker
from tests.memory_faults import FaultyBroker, MovableLog

TOPICS = Topics("frames", "predictions", "frames.dlq", "group.state")
POISON = b"poison"
WHITE = b"white"
KINDS = ("decodes", "reads", "sends", "writes")  # of a worker's tasks


class CrashError(BaseException):
    """The simulated process has ended at this point."""


class Steps(Executor):
    """An executor that runs its tasks one by one, when a test calls for it."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run_next(self) -> None:
        if self.waiting:
            future, task = self.waiting.popleft()
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(task())
            except Exception as exc:  # noqa: BLE001 - it belongs to whoever waits for the result
                future.set_exception(exc)

    def run_all(self) -> None:
        while self.waiting:
            self.run_next()


class Faults:
    """Makes a worker's broker fail at the n-th passage of a step from now on, or at each."""

    def __init__(self) -> None:
        self._lasts = False
        self._step, self._passages = "", 0
        self._failure: type[BaseException] = CrashError

    def arm(self, step: str, passages: int, failure: type[BaseException]) -> None:
        self._step, self._passages, self._failure = step, passages, failure
        self._lasts = False

    def arm_for_good(self, step: str, failure: type[BaseException]) -> None:
        """Fail at each passage of a step, until another one is armed."""
        self.arm(step, 0, failure)
        self._lasts = True

    def __call__(self, step: str) -> None:
        if step == self._step:
            self._passages -= 1
            if self._passages < 0:
                if not self._lasts:
                    self._step = ""
                raise self._failure(f"fault at {step}")


def decode(content: bytes) -> InputArray:
    """Make 16 x 16 pixels from two bytes. Poisoned bytes do not decode."""
    if content.startswith(POISON):
        raise UndecodableFrameError(f"{len(content)} bytes of poison")
    if content == WHITE:
        return np.full((16, 16, 3), 255, np.uint8)
    rng = np.random.default_rng(list(content))
    return rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)


def fitting_of(bundle: Bundle) -> OpenFitting | None:
    """The decoders of H.264 units; None for a kind of input that takes none."""
    if not isinstance(bundle.input, PictureInput):
        return None
    return open_fitting_for(bundle.input, max_frame_pixels=FRAME_PIXELS)


class Consumer(MemoryConsumer):
    """Never waits. While `quiet`, it rejoins under another id without an event (K12).

    While `frozen`, nothing is answered, and nothing fails.
    """

    def __init__(self, log: MovableLog) -> None:
        super().__init__(log)
        self._group = log.group
        self.quiet = self.frozen = False

    def poll(self, timeout_s: float, max_records: int) -> Poll:
        del timeout_s  # nothing changes here during a wait
        if self.frozen:
            return Poll((), ())
        return super().poll(0.0, max_records)

    def _rejoin(self) -> Poll:
        if not self.quiet:
            return super()._rejoin()
        self.quiet = False
        self.member_id = self._group.join()
        self._group.hand_over(self.member_id, self._assigned)
        return super().poll(0.0, 0)


class Broker(FaultyBroker):
    """Keeps the consumer that it made, so that tests know its member id, and can lose a topic."""

    made: Consumer

    def __init__(self, log: MovableLog, *, slot: str, fault: Faults) -> None:
        super().__init__(log, slot=slot, fault=fault, stall_s=0.0)
        self._movable = log
        self.missing = ""  # the name of a topic that was deleted

    def partition_count(self) -> int:
        if self.missing:
            raise TopicError(f"topic {self.missing} is missing")
        return super().partition_count()

    def consumer(self) -> Consumer:
        self.made = Consumer(self._movable)
        return self.made


class Process:
    """A worker with its executors, like a process: it can crash at any time."""

    def __init__(self, world: "World", slot: str) -> None:
        self.slot = slot
        self.faults = Faults()
        self.decodes, self.writes, self.reads, self.sends = Steps(), Steps(), Steps(), Steps()
        self.broker = Broker(world.log, slot=slot, fault=self.faults)
        self.metrics = WorkerMetrics()
        self.worker = Worker(
            world.config,
            name=slot,
            broker=self.broker,
            model=ServedModel.configured(
                world.config,
                world.bundle,
                world.engine(slot),
                decoder=world.decoder,
                open_fitting=world.open_fitting,
            ),
            sandboxed=world.sandboxed,
            sandboxed_fitting=world.sandboxed_fitting,
            executors=Executors(self.decodes, self.writes, self.reads, self.sends),
            clock=world.clock,
            metrics=self.metrics,
            traces=world.traces(),
        )

    @property
    def member_id(self) -> str:
        return self.broker.made.member_id


class World:
    """One log and group, and workers by slot. Nothing here runs by itself."""

    def __init__(
        self,
        bundle: Bundle,
        engine: Callable[[str], Engine],
        *,
        partitions: int,
        max_batch: int,
        **settings: Any,
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.clock = ManualClock()
        wanted: dict[str, Any] = {
            "start": "earliest",
            "max_batch": max_batch,
            "stream_ttl_s": 1e6,
        } | settings
        self.config = WorkerConfig(**wanted)
        topics = replace(TOPICS, events=self.config.topics.events)
        self.log = MovableLog(topics, partitions=partitions, clock=self.clock)
        self.decoder: Decoder = decode
        self.sandboxed: Decoder = decode
        self.open_fitting = fitting_of(bundle)
        self.sandboxed_fitting = self.open_fitting
        self.tracing: Tracing | None = None
        self.processes: dict[str, Process] = {}
        self.dead: list[str] = []  # members of crashed processes that the group has not removed yet

    def traces(self) -> FrameTraces | None:
        """Of a new process; None unless a test sets `tracing`."""
        if self.tracing is None:
            return None
        return FrameTraces(self.tracing, clock=self.clock, topic=TOPICS.frames, group="group")

    def launch(self, slot: str) -> None:
        if slot not in self.processes:
            self.processes[slot] = Process(self, slot)

    def crash(self, slot: str) -> None:
        process = self.processes.pop(slot, None)
        if process is not None:
            self.dead.append(process.member_id)

    def bury(self) -> None:
        """Let the session and transaction timeouts of crashed processes expire."""
        self.log.abort_open()
        while self.dead:
            self.log.group.leave(self.dead.pop())

    def _guarded(self, slot: str, action: Callable[[Process], None]) -> None:
        process = self.processes.get(slot)
        if process is None:
            return
        try:
            action(process)
        except CrashError:
            self.crash(slot)

    def turn(self, slot: str) -> None:
        self.clock.advance(0.06)
        self._guarded(slot, lambda process: process.worker.turn())

    def work(self, slot: str, kind: str) -> None:
        """Run the next waiting task of one kind: decodes, writes or reads."""
        if kind == "reads":
            self.log.abort_open()  # a restore waits for dead workers' transactions
        self._guarded(slot, lambda process: getattr(process, kind).run_next())

    def work_off(self, slot: str, kind: str) -> None:
        """Run all waiting tasks of one kind."""
        process = self.processes.get(slot)
        while process is not None and getattr(process, kind).waiting:
            self.work(slot, kind)
            process = self.processes.get(slot)

    def settle(self, turns: int = 400) -> None:
        """Run all live processes until nothing is left to do."""
        for process in self.processes.values():
            process.faults.arm("", 0, CrashError)
        self.bury()
        for _ in range(turns):
            for slot in list(self.processes):
                self.turn(slot)
                for kind in KINDS:
                    self.work_off(slot, kind)
            idle = self.processes and all(p.worker.idle for p in self.processes.values())
            if idle and self._everything_is_committed():
                return
        raise AssertionError(f"the workers do not come to rest: {self._state()}")

    def _state(self) -> dict[str, object]:
        return {
            slot: {
                "member": self.log.group.generation_of(process.member_id),
                "ready": process.worker.ready,
                "idle": process.worker.idle,
                "partitions": sorted(process.worker.partitions),
                "waiting": [
                    len(getattr(process, k).waiting)
                    for k in ("decodes", "writes", "reads", "sends")
                ],
            }
            for slot, process in self.processes.items()
        }

    def _everything_is_committed(self) -> bool:
        changelogs = [self.log.changelog(number) for number in self._numbers()]
        return all(
            c is not None
            and b"m" in c.records
            and Manifest.read(c.records[b"m"]).next_offset == c.log_end
            for c in changelogs
        )

    def predictions(self) -> dict[str, list[bytes]]:
        """Return the values that a reader of committed records sees, by stream, in log order.

        With low latency the reader drops repeats, which must have the same bytes.
        """
        found: dict[str, list[bytes]] = {}
        for record in self.log.read_committed(TOPICS.predictions):
            values, value = found.setdefault((record.key or b"").decode(), []), record.value or b""
            if self.config.delivery is Delivery.EXACTLY_ONCE or _is_news(value, values):
                values.append(value)
        return found

    def snapshots(self) -> dict[str, Snapshot]:
        """Return the newest snapshot of each stream."""
        return {s.stream: s for n in self._numbers() for s in _snapshots(self.log, n)}

    def skipped(self, stream: str) -> list[range]:
        """Return the ranges of offsets in which frames of a stream were skipped for newer ones."""
        records = [
            record
            for number in self._numbers()
            for key, record in _changelog(self.log, number).items()
            if key.startswith(b"k:")
        ]
        told = [skips for skips in map(Skips.read, records) if skips.stream == stream]
        return [range(first, last + 1) for skips in told for first, last in skips.ranges]

    def manifests(self) -> list[Manifest]:
        """Return the newest manifest of each partition."""
        changelogs = [self.log.changelog(number) for number in self._numbers()]
        return [Manifest.read(c.records[b"m"]) for c in changelogs if c and b"m" in c.records]

    def _numbers(self) -> range:
        return range(self.log.partition_count(TOPICS.frames))


def _is_news(value: bytes, before: Sequence[bytes]) -> bool:
    """Return whether a prediction is no repeat. Raises if it contradicts an earlier one."""
    newest = _offset(before[-1]) if before else -1
    if _offset(value) > newest:
        return True
    if value not in before:
        raise AssertionError(f"published twice, and not the same: {value!r}")
    return False


def _offset(value: bytes) -> int:
    return int(json.loads(value)["source"]["offset"])


def _changelog(log: MemoryLog, number: int) -> Mapping[bytes, Record]:
    changelog = log.changelog(number)
    return {} if changelog is None else changelog.records


def _snapshots(log: MemoryLog, number: int) -> list[Snapshot]:
    records = _changelog(log, number)
    return [Snapshot.read(record) for key, record in records.items() if key.startswith(b"s:")]


def alone(
    records: Sequence[Record],
    bundle: Bundle,
    engine: Engine,
    config: WorkerConfig,
    skipped: Sequence[range] = (),
    *,
    decoder: Decoder = decode,
) -> tuple[list[bytes], Counter[str], dict[str, Any]]:
    """Run one stream's records one at a time. Returns predictions, fates and the final state."""
    config = WorkerConfig(**config.model_dump() | {"max_batch": 1})
    model = ServedModel.configured(
        config, bundle, engine, decoder=decoder, open_fitting=fitting_of(bundle)
    )
    beginning = Manifest.beginning(0, bundle=bundle.digest, partitions=1)
    partition = Partition(0, era=0, manifest=beginning)
    values: list[bytes] = []
    for record in records:
        item = model.admit(partition, record)
        frame = None if item is None else item.let_through
        if item is not None and frame is not None:
            if any(frame.offset in r for r in skipped):
                item.skip()
            elif not frame.unit:
                item.decode(_decoded(decoder, frame.content))
        if model.chains is not None:
            partition.submit_units(model.chains, lambda frame, size, call: call())
        values += [
            out.value
            for out in (i.outgoing for i in model.step([partition]).items)
            if out is not None and out.value and out.destination is Destination.PREDICTIONS
        ]
    rows = {name: stream for name, stream in partition.streams.items() if stream.row is not None}
    state = {
        name: engine.read([stream.row]) for name, stream in rows.items() if stream.row is not None
    }
    return values, Counter(partition.fates), state


def _decoded(decoder: Decoder, content: bytes) -> Future[InputArray]:
    pixels = Future[InputArray]()
    try:
        pixels.set_result(decoder(content))
    except UndecodableFrameError as exc:
        pixels.set_exception(exc)
    return pixels
