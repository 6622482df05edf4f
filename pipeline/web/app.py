"""The routes of the web server: /metrics, /healthz and /readyz."""

from collections.abc import Callable

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.printable import printable
from pipeline.web.health import Health


def web_server(registry: CollectorRegistry, health: Callable[[], Health]) -> uvicorn.Server:
    """Make the server; the caller runs it on a socket."""

    async def readyz(request: Request) -> Response:
        del request
        now = health()
        if now.ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse(f"{printable(now.waiting)}\n", status_code=503)

    async def healthz(request: Request) -> Response:
        del request
        now = health()
        if now.failure:
            return PlainTextResponse(f"{printable(now.failure)}\n", status_code=503)
        return PlainTextResponse(f"{printable(now.alive)}\n")

    async def metrics(request: Request) -> Response:
        del request
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    return uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=routes), log_level="warning", access_log=False, lifespan="off"
        )
    )
