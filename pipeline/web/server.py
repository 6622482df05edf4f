"""The web server of a process: /metrics, /healthz and /readyz, served by a thread.

The port is bound at once. The server's libraries are imported in its thread: the import takes
0.1 s, and should not delay the streams that wait for a restarted worker.
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
    """Serves the metrics and the health of one process in a thread.

    `health` is called at each request to /healthz and /readyz, in that thread. Raises
    `PortTakenError` if another program listens on the port.
    """

    def __init__(
        self, registry: CollectorRegistry, health: Callable[[], Health], *, host: str, port: int
    ) -> None:
        self._registry, self._health = registry, health
        try:
            self._socket = socket.create_server((host, port))
        except OSError as exc:
            why = str(exc.strerror).partition(" (while")[0]  # cuts the address off: named below
            raise PortTakenError(
                f"cannot serve metrics on {host}:{port}: {why}; choose another"
                " metrics_port (--metrics-port; 0 takes any free one)"
            ) from exc
        self.port: int = self._socket.getsockname()[1]
        self._stopping = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def start(self) -> None:
        """Start to serve. Requests that arrive before the server is imported wait for it."""
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
