"""The worker's small web server: /metrics, /healthz and /readyz."""

import logging
import socket
import threading
from collections.abc import Callable

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.errors import PortTakenError

log = logging.getLogger(__name__)


class Server:
    """Serves one worker's state in a thread. Binds to loopback unless told otherwise.

    `ready` is asked at each request to /readyz. Raises `PortTakenError` when somebody else
    listens on the port.
    """

    def __init__(
        self, registry: CollectorRegistry, ready: Callable[[], bool], *, host: str, port: int
    ) -> None:
        async def readyz(request: Request) -> Response:
            del request
            if ready():
                return PlainTextResponse("ready\n")
            return PlainTextResponse("restoring, or not in the group yet\n", status_code=503)

        async def healthz(request: Request) -> Response:
            del request
            return PlainTextResponse("alive\n")

        async def metrics(request: Request) -> Response:
            del request
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

        routes = [
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
        try:
            self._socket = socket.create_server((host, port))
        except OSError as exc:
            why = str(exc.strerror).partition(" (while")[0]  # the address, which we name ourselves
            raise PortTakenError(
                f"cannot serve metrics on {host}:{port}: {why}; choose another"
                " metrics_port (--metrics-port; 0 takes any free one)"
            ) from exc
        self.port: int = self._socket.getsockname()[1]
        app = Starlette(routes=routes)
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="web", daemon=True
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(timeout=3)
        self._socket.close()
