"""What the worker's web server answers."""

from collections.abc import Callable

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def web_server(registry: CollectorRegistry, ready: Callable[[], bool]) -> uvicorn.Server:
    """Make the server, to be run on a socket."""

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

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    return uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=routes), log_level="warning", access_log=False, lifespan="off"
        )
    )
