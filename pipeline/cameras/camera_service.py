"""Assembles the camera process: its cameras, relay, metrics server and configuration file."""

import logging
import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory

from pipeline.broker.outlet import Outlet
from pipeline.broker.shots import Uplink
from pipeline.cameras.camera_metrics import CameraMetrics
from pipeline.cameras.camera_settings import CamerasConfig
from pipeline.cameras.relay import Relay
from pipeline.cameras.site import Site
from pipeline.cameras.spool import Spool
from pipeline.cameras.state_reporter import StateReporter
from pipeline.cameras.values import State
from pipeline.clock import SystemClock
from pipeline.errors import ConfigError, SourceError
from pipeline.tracing.capture_traces import CaptureTraces
from pipeline.tracing.spans import Tracing
from pipeline.web.health import Health
from pipeline.web.server import Server

log = logging.getLogger(__name__)

LOOK_S = 0.2
STOP_S = 3.0
LAST_S = 5.0
LAST_STATES_S = 2.0


class CameraService:
    """One camera process. `connect` opens an uplink to the broker, `connect_states` an outlet.

    With a `file`, `load` reads the settings again when the file has changed or `reload` was
    called, and the process runs until `stop`. Without a file the process ends when all clips have
    ended, and raises `SourceError` if a camera refuses the first connection. It starts without a
    broker only if the settings name a spool file; otherwise it raises what `connect` raises.
    Raises `OutputError` if the spool cannot be used, and `PortTakenError`. `tracing` is closed with
    it; None: off.
    """

    def __init__(
        self,
        config: CamerasConfig,
        *,
        connect: Callable[[], Uplink],
        connect_states: Callable[[], Outlet],
        load: Callable[[], CamerasConfig],
        file: Path | None,
        serve: bool,
        tracing: Tracing | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self._tracing = tracing
        self._file = file
        self._stamp = _stamp(file)
        self._asked = threading.Event()
        self._stopping = threading.Event()
        clock = SystemClock()
        self.site = Site(environment=os.environ, clock=clock, rng=SystemRandom())
        metrics = CameraMetrics(self.site)
        self._server = (
            Server(
                metrics.registry, self._health, host=config.metrics_host, port=config.metrics_port
            )
            if serve
            else None
        )
        self._folder = TemporaryDirectory(prefix="longtake-spool-")
        self.spool = Spool(
            config.spool or Path(self._folder.name, "spool.db"),
            most_bytes=config.spool_bytes,
            most_us=round(config.spool_s * 1e6),
        )
        self._relay = Relay(
            connect,
            self.spool,
            metrics,
            uplink=None if config.spool else connect(),
            opening=ThreadPoolExecutor(1, "uplink"),
            clock=clock,
            traces=None if tracing is None else CaptureTraces(tracing),
        )
        metrics.watch(self._relay)
        self._states = StateReporter(
            lambda: self.site.tallies,
            connect_states,
            every_s=config.states_s,
            process=platform.node(),
            clock=clock,
        )

    def _health(self) -> Health:
        if self._relay.broker_up:
            return Health(ready=True)
        why = f": {self._relay.trouble}" if self._relay.trouble else ""
        return Health(starting=f"the broker does not answer; frames are spooled{why}")

    def stop(self) -> None:
        """Request the end of `run`, from any thread."""
        self._stopping.set()

    def reload(self) -> None:
        """Request that `run` reads the file again, from any thread."""
        self._asked.set()

    def run(self, on_tick: Callable[[], None]) -> None:
        """Run the cameras until `stop`; `on_tick` is called a few times a second."""
        if self._server is not None:
            self._server.start()
            log.info(
                "metrics on http://%s:%d/metrics", self._config.metrics_host, self._server.port
            )
        try:
            self._relay.start()
            self.site.arrange(self._config.camera, self._relay)
            if self._reports_states:
                self._states.start()
            while not self._stopping.wait(LOOK_S) and not self._over:
                if self._relay.failure is not None:
                    raise self._relay.failure
                self._reload_if_changed()
                on_tick()
        finally:
            self.site.stop(STOP_S)
            self._relay.stop(LAST_S)
            self._states.stop(LAST_STATES_S)
            if self._server is not None:
                self._server.stop()
            if self._tracing is not None:
                self._tracing.close()
            self._folder.cleanup()

    @property
    def _reports_states(self) -> bool:
        return bool(self._config.cameras_topic) and self._config.states_s > 0

    @property
    def _over(self) -> bool:
        if self._file is not None:
            return False
        over = self.site.over
        for name, tally in self.site.tallies.items():
            if tally.state is State.REFUSED and (over or not tally.captured_us):
                raise SourceError(f"{name}: {tally.why}")
        return over

    def _reload_if_changed(self) -> None:
        stamp = _stamp(self._file)
        if stamp == self._stamp and not self._asked.is_set():
            return
        self._stamp = stamp
        self._asked.clear()
        try:
            config = self._load()
            self.site.arrange(config.camera, self._relay)
        except ConfigError as exc:
            log.error("%s; going on with the settings of before", exc)
            return
        cameras = {"camera"}
        if config.model_dump(exclude=cameras) != self._config.model_dump(exclude=cameras):
            log.warning("only cameras change while running; the rest wants a restart")
        log.info("%s was read again: %d cameras", self._file, len(config.camera))


def _stamp(file: Path | None) -> tuple[int, ...]:
    """Return a value that differs after the file was changed, removed or created again."""
    try:
        found = None if file is None else file.stat()
    except OSError:
        return ()
    return () if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
