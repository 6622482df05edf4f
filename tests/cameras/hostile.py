"""Servers of a hostile camera: pages that name what must not be opened, and a canary.

The canary is a listener that no source may ever reach. All run in threads of the test.
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

REPLY = b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n"


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients that leave are what is tested."""


class Canary:
    """Counts who connects."""

    def __init__(self) -> None:
        self.calls = list[bytes]()
        canary = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                canary.calls.append(b"connected")
                self.request.settimeout(1)
                with suppress(OSError):
                    canary.calls.append(self.request.recv(1000))
                    self.request.sendall(REPLY)

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.at = f"127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def running(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def canary() -> Iterator[Canary]:
    made = Canary()
    with running(made.server):
        yield made


@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers; with `location` a redirect, with `login` after a 401."""

    body: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    location: str = ""
    login: bool = False
    ranges: bool = False

    def part(self, wanted: str) -> "Page":
        """Return the answer to a header `Range`."""
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        if found is None or not self.ranges:
            return self
        return replace(self, body=self.body[int(found[1]) :], status=206)


class Web:
    """Serves pages by path. `asked` are the paths and `Authorization` headers, in order."""

    def __init__(
        self, pages: Mapping[str, Page], *, tls: Callable[[socket.socket], socket.socket] | None
    ) -> None:
        self.asked = list[tuple[str, str]]()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Authorization", "")
                web.asked.append((self.path, known))
                page = pages.get(self.path.partition("?")[0], Page(status=404))
                page = page.part(self.headers.get("Range", ""))
                if page.login and not known:
                    page = Page(status=401)
                self.send_response(page.status)
                if page.status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                if page.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                if page.location:
                    self.send_header("Location", page.location)
                self.send_header("Content-Type", page.kind)
                self.send_header("Content-Length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def get_request(self) -> tuple[socket.socket, Any]:
                line, whence = super().get_request()
                return (line if tls is None else tls(line)), whence

            def handle_error(self, *_: object) -> None:
                """Print nothing."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.at = f"127.0.0.1:{self.server.server_port}"


@contextmanager
def web(
    pages: Mapping[str, Page], *, tls: Callable[[socket.socket], socket.socket] | None = None
) -> Iterator[Web]:
    made = Web(pages, tls=tls)
    with running(made.server):
        yield made


Answer = Callable[[str, str], str]  # the method and the Authorization header -> the reply


class Rtsp:
    """An RTSP server that answers each request with `answer`. `requests` are all it got."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None) -> None:
        self.requests = list[str]()
        rtsp = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                line = self.request
                line.settimeout(3)
                with suppress(OSError):
                    if context is not None:
                        line = context.wrap_socket(line, server_side=True)
                    with line:
                        rtsp.talk(line, answer)

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.at = f"127.0.0.1:{self.server.server_address[1]}"

    def talk(self, line: socket.socket, answer: Answer) -> None:
        file = line.makefile("rb")
        while first := file.readline().decode(errors="replace"):
            headers = dict[str, str]()
            while (text := file.readline().decode().strip()) != "":
                name, _, value = text.partition(":")
                headers[name.lower()] = value.strip()
            self.requests.append(first.strip())
            reply = answer(first.split(" ")[0], headers.get("authorization", ""))
            line.sendall(reply.replace("CSEQ", headers.get("cseq", "0")).encode())


@contextmanager
def rtsp(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Rtsp]:
    """Serve; with a `context` by TLS."""
    made = Rtsp(answer, context)
    with running(made.server):
        yield made


def reply(status: str, *headers: str) -> str:
    return "\r\n".join([f"RTSP/1.0 {status}", "CSeq: CSEQ", *headers, "", ""])
