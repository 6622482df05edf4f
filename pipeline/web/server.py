"""The web server of a process: /metrics, /healthz and /readyz, served by a thread.

The port is bound at once. The server's libraries are imported in its thread: the import takes
0.1 s, and should not delay the streams that wait for a restarted worker.
"""

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from pipeline.clock import SystemClock
from pipeline.errors import PortTakenError
from pipeline.web.health import Health
from pipeline.web.limits import EXCHANGE_S

if TYPE_CHECKING:
    import uvicorn


class Server:
    """Serves the metrics and the health of one process in a thread.

    `health` is called at each request to /healthz and /readyz, in that thread. A client has
    `exchange_s` to send a request and read its answer. Raises `PortTakenError` if another program
    listens on the port.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        *,
        host: str,
        port: int,
        exchange_s: int = EXCHANGE_S,
    ) -> None:
        self._registry, self._health, self._exchange_s = registry, health, exchange_s
        self._socket = listening(
            host, port, what="metrics", choose="metrics_port (--metrics-port; 0 takes any free one)"
        )
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
        from pipeline.web.app import web_app
        from pipeline.web.connections import bounded
        from pipeline.web.page import MetricsPage

        app = web_app(MetricsPage(self._registry, SystemClock()), self._health)
        self._server = bounded(app, exchange_s=self._exchange_s)
        if not self._stopping.is_set():
            self._server.run([self._socket])


def listening(host: str, port: int, *, what: str, choose: str) -> socket.socket:
    """Listen on a port; 0 takes any free one.

    Raises `PortTakenError`, which says `what` cannot be served, and which setting to `choose` anew.
    """
    try:
        return socket.create_server((host, port))
    except OSError as exc:
        why = str(exc.strerror).partition(" (while")[0]  # cuts the address off: named below
        raise PortTakenError(
            f"cannot serve {what} on {host}:{port}: {why}; choose another {choose}"
        ) from exc
