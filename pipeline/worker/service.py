"""Assembles one worker from its configuration and runs it until it is asked to stop."""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from engines.base import Engine
from engines.errors import EngineError
from engines.load import load_engine
from engines.model.bundle import Bundle, find_bundle, load_bundle
from engines.model.verdicts import Verdicts
from pipeline.broker.contract import Broker
from pipeline.broker.topic_wait import wait_for_topics
from pipeline.clock import SystemClock
from pipeline.config import Overload, WorkerConfig
from pipeline.errors import ConfigError
from pipeline.media.crash_child import ChildDecoder
from pipeline.media.kinds import decoder_for, early_refusal_for, open_fitting_for
from pipeline.streams.served import ServedModel
from pipeline.tracing.frame_traces import FrameTraces
from pipeline.tracing.spans import Tracing
from pipeline.web.health import Health
from pipeline.web.server import Server
from pipeline.worker.executors import Executors
from pipeline.worker.metrics.group_label import with_group
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.watchdog import Progress, Watchdog, end_process
from pipeline.worker.worker import Worker

log = logging.getLogger(__name__)

FAILURE_SHOWN_S = 30  # long enough for a probe, which comes every few seconds
TURN_TICKS = 60  # seconds that one turn may take at most: a batch, or a slow broker's answer
COMMIT_SLACK_TICKS = 10


def _require_time(config: WorkerConfig, bundle: Bundle) -> None:
    """Refuse to leave out records of a kind that has no time: each of them counts."""
    if config.overload is Overload.LATEST and not bundle.input.timed:
        raise ConfigError(
            f"overload = latest would skip records, and {bundle.id} takes {bundle.input.kind}, of"
            " which each counts; set overload = process_all"
        )


class Service:
    """One worker with its engine, its threads, its metrics and its web server.

    `broker` gives the worker its access to the log. `tracing` is closed with it; None: off.
    """

    def __init__(
        self, config: WorkerConfig, *, broker: Broker, name: str, tracing: Tracing | None = None
    ) -> None:
        self._config = config
        self._tracing = tracing
        self._health: Health | None = Health(starting="reading the bundle")
        self._metrics = WorkerMetrics()
        self._server = Server(
            with_group(self._metrics.registry, config.group),
            self._current_health,
            host=config.metrics_host,
            port=config.metrics_port,
        )
        self._server.start()  # so that probes can see what a slow start is doing
        verdicts = Verdicts.of(os.environ)
        bundle = load_bundle(find_bundle(config.bundle))
        _require_time(config, bundle)
        self._engine = self._load(bundle, verdicts)
        self._metrics.set_info(worker=name, bundle=bundle.id, engine=self._engine.name)
        self._stopping = threading.Event()
        self._pools = Executors(
            decodes=ThreadPoolExecutor(config.decode_threads, "decode"),
            writes=ThreadPoolExecutor(1, "commit"),
            reads=ThreadPoolExecutor(1, "restore"),
            sends=ThreadPoolExecutor(1, "publish"),
        )
        self._sandboxed = ChildDecoder(bundle.input, max_frame_pixels=config.max_frame_pixels)
        model = self._served(bundle)
        self._worker = wait_for_topics(
            lambda: self._make_worker(model, broker, name),
            at_most_s=config.wait_for_topics_s,
            report=self._waiting,
            clock=SystemClock(),
            pause=time.sleep,
        )
        self._health = None  # from now on health depends on the worker
        log.info(
            "worker %s (process %d) runs bundle %s on %s for group %s; metrics on http://%s:%d/metrics",
            name,
            os.getpid(),
            bundle.id,
            self._engine.name,
            config.group,
            config.metrics_host,
            self._server.port,
        )

    def _load(self, bundle: Bundle, verdicts: Verdicts | None) -> Engine:
        """Make the engine. Probes can read its progress, or for FAILURE_SHOWN_S why it failed."""
        self._health = Health(starting=f"making the engine {self._config.engine}")
        try:
            return load_engine(
                self._config.engine,
                bundle,
                threads=self._config.engine_threads,
                verdicts=verdicts,
                gpu_precision=self._config.gpu_precision,
                plans=self._config.plans,
                progress=self._building,
            )
        except EngineError as exc:
            self._health = Health(failure=f"the engine cannot start: {exc}")
            log.error(
                "%s; http://%s:%d/healthz says so for %d s",
                self._health.failure,
                self._config.metrics_host,
                self._server.port,
                FAILURE_SHOWN_S,
            )
            time.sleep(FAILURE_SHOWN_S)
            raise

    def _building(self, phase: str, done: int, steps: int) -> None:
        self._health = Health(starting=f"making a plan: {phase}, {done} of {steps}")

    def _waiting(self, why: str) -> None:
        self._health = Health(starting=f"waiting for topics: {why}")

    def _current_health(self) -> Health:
        return self._health or Health(
            ready=self._worker.ready,
            note=self._worker.readiness.note,
            trouble="; ".join(filter(None, (self._worker.readiness.trouble, self._worker.trouble))),
        )

    def _served(self, bundle: Bundle) -> ServedModel:
        pixels = self._config.max_frame_pixels
        return ServedModel.configured(
            self._config,
            bundle,
            self._engine,
            decoder=decoder_for(bundle.input, max_frame_pixels=pixels),
            refused=early_refusal_for(bundle.input, max_frame_pixels=pixels),
            open_fitting=open_fitting_for(bundle.input, max_frame_pixels=pixels),
        )

    def _make_worker(self, model: ServedModel, broker: Broker, name: str) -> Worker:
        return Worker(
            self._config,
            name=name,
            broker=broker,
            model=model,
            sandboxed=self._sandboxed,
            sandboxed_fitting=self._sandboxed.open_fitting,
            executors=self._pools,
            clock=SystemClock(),
            metrics=self._metrics,
            traces=self._traces(),
        )

    def _traces(self) -> FrameTraces | None:
        if self._tracing is None:
            return None
        topic, group = self._config.frames_topic, self._config.group
        return FrameTraces(self._tracing, clock=SystemClock(), topic=topic, group=group)

    @property
    def worker(self) -> Worker:
        """The worker."""
        return self._worker

    def stop(self) -> None:
        """Ask the worker to commit what is finished and to stop. From any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Run until `stop` is called. Raises the errors that need an operator."""
        commit_ticks = int(self._config.group_settings.longest_transaction_s) + COMMIT_SLACK_TICKS
        watchdog = Watchdog(
            {
                "the worker": Progress(lambda: self._worker.turns, TURN_TICKS),
                "a commit": Progress(lambda: self._worker.commit_in_flight, commit_ticks),
            },
            bark=end_process,
        )
        watchdog.start()
        try:
            while not self._stopping.is_set():
                self._worker.turn()
            log.info("stopping: committing what is finished")
            self._worker.stop()
        finally:
            watchdog.stop()
            self._server.stop()
            if self._tracing is not None:
                self._tracing.close()
            pools = self._pools
            for pool in (pools.decodes, pools.writes, pools.reads, pools.sends):
                pool.shutdown(wait=False, cancel_futures=True)
            self._sandboxed.close()
            self._engine.close()
