"""The routes of the web server: /metrics, /healthz and /readyz."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.text.printable import printable
from pipeline.web.health import Health
from pipeline.web.page import MetricsPage


def web_app(page: MetricsPage, health: Callable[[], Health]) -> Starlette:
    """Make the application that answers."""

    async def readyz(request: Request) -> Response:
        del request
        now = health()
        if now.ready:
            return PlainTextResponse(f"{printable(now.prepared)}\n")
        return PlainTextResponse(f"{printable(now.waiting)}\n", status_code=503)

    async def healthz(request: Request) -> Response:
        del request
        now = health()
        if now.failure:
            return PlainTextResponse(f"{printable(now.failure)}\n", status_code=503)
        return PlainTextResponse(f"{printable(now.alive)}\n")

    async def metrics(request: Request) -> Response:
        del request
        return Response(page.text(), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Starlette(routes=routes)
