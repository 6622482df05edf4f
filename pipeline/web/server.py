"""The worker's small web server: /metrics, /healthz and /readyz.

The port is taken at once. What serves it is imported in its own thread: that takes a tenth of a
second, and a worker that is restarted has streams waiting.
"""

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from pipeline.errors import PortTakenError
from pipeline.web.health import Health

if TYPE_CHECKING:
    import uvicorn


class Server:
    """Serves one worker's state in a thread. Binds to loopback unless told otherwise.

    `health` is asked at each request to /healthz and /readyz. Raises `PortTakenError` when somebody
    else listens on the port.
    """

    def __init__(
        self, registry: CollectorRegistry, health: Callable[[], Health], *, host: str, port: int
    ) -> None:
        self._registry, self._health = registry, health
        try:
            self._socket = socket.create_server((host, port))
        except OSError as exc:
            why = str(exc.strerror).partition(" (while")[0]  # the address, which we name ourselves
            raise PortTakenError(
                f"cannot serve metrics on {host}:{port}: {why}; choose another"
                " metrics_port (--metrics-port; 0 takes any free one)"
            ) from exc
        self.port: int = self._socket.getsockname()[1]
        self._stopping = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def start(self) -> None:
        """Begin to serve. Who calls before the server is there is answered when it is."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(timeout=3)
        self._socket.close()

    def _serve(self) -> None:
        from pipeline.web.app import web_server

        self._server = web_server(self._registry, self._health)
        if not self._stopping.is_set():
            self._server.run([self._socket])
