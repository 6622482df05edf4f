"""The routes of the page: its files, its events, and the pictures."""

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.live.door import FORM_BYTES, Door, token_of_form
from pipeline.live.held_pictures import SIZES
from pipeline.live.wall import Wall
from pipeline.live.watchers import Watcher, Watchers, event

EVENT_S = 0.5
LOOK_BYTES = 32 * 1024  # of what a page says that it shows: 100 names of 200 characters
OPEN_PATHS = ("/login", "/live.css", "/icon.svg")
SCRIPTS = ("live.js", "wall.js", "stream.js", "elements.js")
FILES = {
    **{f"/{name}": "text/javascript" for name in SCRIPTS},
    "/live.css": "text/css",
    "/icon.svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Asks the door about each request, and adds HEADERS to each answer."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        public = self._door.needs_token and scope["path"] in OPEN_PATHS
        answer: ASGIApp = self._app
        if not public and not self._door.knows(request.headers, request.cookies):
            answer = self._refusal(scope["path"])
        await answer(scope, receive, guarded)

    def _refusal(self, path: str) -> Response:
        if not self._door.needs_token:
            words = "this page answers to 127.0.0.1 and localhost alone\n"
            return PlainTextResponse(words, status_code=403)
        if path == "/":
            return RedirectResponse("/login", status_code=303)
        return PlainTextResponse("the token is missing\n", status_code=401)


def live_app(wall: Wall, door: Door) -> Starlette:
    """Make the application that serves the page."""
    watchers = Watchers(wall)
    static = files("pipeline.live") / "static"
    texts = {path: (static / path[1:]).read_bytes() for path in FILES}
    page, login_page = ((static / name).read_bytes() for name in ("live.html", "login.html"))

    async def index(request: Request) -> Response:
        del request
        return Response(page, media_type="text/html")

    async def file(request: Request) -> Response:
        path = request.url.path
        return Response(texts[path], media_type=FILES[path])

    async def login(request: Request) -> Response:
        if request.method != "POST":
            return Response(login_page, media_type="text/html")
        if not door.opens(token_of_form(await _body(request, FORM_BYTES))):
            return Response(login_page, status_code=403, media_type="text/html")
        return RedirectResponse("/", status_code=303, headers={"set-cookie": door.cookie()})

    async def events(request: Request) -> Response:
        del request
        watcher = watchers.add()
        if watcher is None:
            return PlainTextResponse("too many pages are open\n", status_code=503)
        return StreamingResponse(_events(watchers, watcher), media_type="text/event-stream")

    async def look(request: Request) -> Response:
        understood = watchers.look(await _body(request, LOOK_BYTES))
        return Response(status_code=204 if understood else 400)

    async def picture(request: Request) -> Response:
        name, size = request.path_params["stream"], request.path_params["size"]
        if size not in SIZES:
            raise HTTPException(404)
        jpeg = await run_in_threadpool(wall.pictures.jpeg, name, size)
        if jpeg is None:
            raise HTTPException(404)
        return Response(jpeg, media_type="image/jpeg")

    routes = [
        Route("/", index),
        Route("/login", login, methods=["GET", "POST"]),
        Route("/events", events),
        Route("/look", look, methods=["POST"]),
        Route("/picture/{size}/{stream}", picture),
        *(Route(path, file) for path in FILES),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, door)])


async def _events(watchers: Watchers, watcher: Watcher) -> AsyncIterator[bytes]:
    try:
        yield event("hello", {"watcher": watcher.id})
        while True:
            yield b"".join(watcher.events())
            await asyncio.sleep(EVENT_S)
    finally:
        watchers.remove(watcher)


async def _body(request: Request, most_bytes: int) -> bytes:
    """Read a request's body. Raises `HTTPException` for a larger one."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > most_bytes:
                raise HTTPException(413)
    except ClientDisconnect:
        raise HTTPException(400) from None
    return body
