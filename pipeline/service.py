"""Puts one worker together from its configuration and runs it until it is told to stop."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType

from engines.base import Engine
from engines.bundle import Bundle, find_bundle, load_bundle
from engines.load import load_engine
from engines.verdicts import Verdicts
from pipeline.broker.base import Broker
from pipeline.clock import SystemClock
from pipeline.config import WorkerConfig
from pipeline.decode import Fit, decode_picture
from pipeline.metrics import WorkerMetrics
from pipeline.server import Server
from pipeline.suspects import ChildDecoder
from pipeline.watchdog import Progress, Watchdog, end_process
from pipeline.worker import Executors, Worker

log = logging.getLogger(__name__)

TURN_TICKS = 60  # the longest that one turn may take: a batch, or a slow broker's answer
COMMIT_SLACK_TICKS = 10


class Service:
    """One worker with its engine, its threads, its metrics and its web server.

    `broker` makes the worker's way to the log from its configuration and its engine's rows.
    """

    def __init__(self, config: WorkerConfig, *, broker: Broker, name: str) -> None:
        self._config = config
        verdicts = Verdicts.of(os.environ)
        bundle = load_bundle(find_bundle(config.bundle), verdicts=verdicts)
        self._engine = load_engine(
            config.engine,
            bundle,
            threads=config.engine_threads,
            verdicts=verdicts,
        )
        self._metrics = WorkerMetrics(worker=name, bundle=bundle.id, engine=config.engine)
        self._pools = Executors(
            decodes=ThreadPoolExecutor(config.decode_threads, "decode"),
            writes=ThreadPoolExecutor(1, "commit"),
            reads=ThreadPoolExecutor(1, "restore"),
            sends=ThreadPoolExecutor(1, "publish"),
        )
        self._stopping = threading.Event()
        self._fit = Fit(bundle.input.height, bundle.input.width, bundle.input.fit)
        self._careful = ChildDecoder(self._fit)
        self._worker = self._make_worker(bundle, self._engine, broker, name)
        self._server = Server(
            self._metrics.registry,
            lambda: self._worker.ready,
            host=config.metrics_host,
            port=config.metrics_port,
        )
        log.info(
            "worker %s runs bundle %s on %s for group %s; metrics on http://%s:%d/metrics",
            name,
            bundle.id,
            config.engine,
            config.group,
            config.metrics_host,
            self._server.port,
        )

    def _make_worker(self, bundle: Bundle, engine: Engine, broker: Broker, name: str) -> Worker:
        return Worker(
            self._config,
            name=name,
            broker=broker,
            bundle=bundle,
            engine=engine,
            decoder=partial(decode_picture, fit=self._fit),
            careful=self._careful,
            executors=self._pools,
            clock=SystemClock(),
            metrics=self._metrics,
        )

    @property
    def worker(self) -> Worker:
        """The worker itself."""
        return self._worker

    def stop(self) -> None:
        """Ask it to finish what it has begun and to stop. From any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`. Raises what asks for a person."""
        commit_ticks = int(self._config.transaction_timeout_s) + COMMIT_SLACK_TICKS
        watchdog = Watchdog(
            {
                "the worker": Progress(lambda: self._worker.turns, TURN_TICKS),
                "a commit": Progress(lambda: self._worker.commit_in_flight, commit_ticks),
            },
            bark=end_process,
        )
        self._server.start()
        watchdog.start()
        try:
            while not self._stopping.is_set():
                self._worker.turn()
            log.info("stopping: committing what is finished")
            self._worker.stop()
        finally:
            watchdog.stop()
            self._server.stop()
            pools = self._pools
            for pool in (pools.decodes, pools.writes, pools.reads, pools.sends):
                pool.shutdown(wait=False, cancel_futures=True)
            self._careful.close()
            self._engine.close()


def until_signalled(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGINT or SIGTERM; a second one kills as usual."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        stop()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
