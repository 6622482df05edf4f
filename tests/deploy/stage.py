"""A complete setup: two streams into a real Kafka, a worker, stand-in cameras, a Prometheus."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from pipeline.connection import Connection
from pipeline.local.ports import free_ports
from pipeline.records import Headers
from tests.cli.commands import Running, until, write_settings
from tests.clusters import KafkaCluster
from tests.deploy.cameras import CamerasStandIn
from tests.deploy.troubles import Troubles
from tests.deploy.watching import Prometheus, watching
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import encoded, jpeg

STREAMS = ("gate", "yard")
PERIOD_S = 0.1
MOST_STREAMS = 5
TTL_S = 10.0
GARBAGE = b"\xff\xd8\xff no picture"
# the numbers of the bundle overflow on this picture
WHITE = encoded(Image.new("RGB", (16, 16), "white"), "PNG")


class FramePublisher:
    """Publishes frames of each stream regularly, in a thread."""

    def __init__(self, cluster: KafkaCluster, cameras: CamerasStandIn) -> None:
        self.instead: bytes | None = None  # published in place of a picture
        self.headers: Headers = ()  # of each record, besides its time
        self.silent = ""  # the name of a stream that publishes nothing
        self._cluster, self._cameras = cluster, cameras
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def publish(self, n: int) -> None:
        captured = b"%.3f" % (time.time() * 1000)
        for partition, stream in enumerate(STREAMS):
            if stream == self.silent:
                continue
            content = self.instead or jpeg(16, 16, seed=n % 97)
            headers = (("captured-at", captured), *self.headers)
            self._cluster.publish(partition, stream.encode(), content, headers)
            self._cameras.published(stream, content)

    def publish_as(self, stream: str) -> None:
        """Publish a picture into partition 0 under another name."""
        self._cluster.publish(0, stream.encode(), jpeg(16, 16, seed=1))

    def _run(self) -> None:
        n = 0
        while not self._over.wait(PERIOD_S):
            self.publish(n := n + 1)

    @contextmanager
    def going(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()


class WatchedStage:
    """The setup. A test calls `settle` first: alerts of the test before may still fire."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.cluster = KafkaCluster(connection, len(STREAMS))
        self.troubles = Troubles(folder / "troubles")
        self.cameras = CamerasStandIn(*STREAMS)
        self.feed = FramePublisher(self.cluster, self.cameras)
        self.worker_port, self.cameras_port = free_ports(2)
        self.prometheus = Prometheus(0)
        bundle = write_tiny(folder / "tiny", explodes=True)
        more = {"expected_streams": STREAMS, "metrics_port": self.worker_port, "slot": "one"}
        more |= {"max_streams": MOST_STREAMS, "stream_ttl_s": TTL_S}
        self._settings = write_settings(
            folder / "worker.toml", self.cluster, bundle=str(bundle), **more
        )
        self._log = folder / "worker.log"
        self.worker: Running
        self.serving = ExitStack()

    def launch(self) -> None:
        """Start the worker; Prometheus scrapes its zeros before the first record is counted."""
        with self.troubles.of("slow restore"):
            self.launch_unready()
        self.worker.ready()

    def start(self) -> None:
        path = {"PYTHONPATH": str(self.troubles.folder)}
        self.worker = Running(self._log, "worker", "--config", self._settings, forked=False, **path)

    def launch_unready(self) -> None:
        self.start()
        until(lambda: 0 in self.prometheus.ask("longtake_ready"), "a worker that is scraped")

    def settle(self) -> None:
        """Wait until no alert fires."""
        assert self.worker.process.poll() is None, self.worker.log[-1000:]
        until(lambda: not self.prometheus.firing(), "a world in which all is well")

    @contextmanager
    def no_cameras(self) -> Iterator[None]:
        """Stop serving the metrics of the cameras, for the duration of the context."""
        self.serving.close()
        yield
        self.serving.enter_context(self.cameras.served(self.cameras_port))

    def kill(self) -> None:
        self.worker.process.kill()
        self.worker.process.wait()


@contextmanager
def staged(prometheus: str, connection: Connection, folder: Path) -> Iterator[WatchedStage]:
    """Start everything, and stop it in the end."""
    stage = WatchedStage(connection, folder)
    ports = {"workers": [stage.worker_port], "cameras": [stage.cameras_port]}
    with ExitStack() as stack:
        stack.callback(stage.cluster.close)
        stack.enter_context(stage.serving)
        stage.serving.enter_context(stage.cameras.served(stage.cameras_port))
        watched = stack.enter_context(watching(prometheus, folder / "prometheus", **ports))
        stage.prometheus = watched
        stack.enter_context(stage.feed.going())
        stack.callback(stage.kill)
        stage.launch()
        yield stage
