"""A server of MJPEG cameras over HTTP in the test's own process; tests control the cameras.

The only time of a picture is the one in its mark. Its number counts the camera's ticks since the
server started, so all viewers see the same numbers, and a viewer can count the missed pictures.
"""

import base64
import io
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from PIL import Image

from pipeline.local.ports import free_ports
from tests.cameras.blocks import Mark, draw

HEAD = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
GARBAGE = b"\xff\xd8\xff\xe0 not a picture \x00\xff" * 40


class MjpegCamera:
    """One camera. Its fields are its controls, which a test may set at any time."""

    def __init__(
        self, name: str, *, fps: float = 10.0, width: int = 320, height: int = 240
    ) -> None:
        self.name, self.fps, self.size = name, fps, (width, height)
        self.login = ""  # user:password required of every viewer
        self.refuses = False  # answer 503
        self.muted = False  # keep connections open, but send nothing
        self.garbage = False  # send parts that are not pictures
        self.closes_after = 0  # close a connection after so many parts; 0: never
        self.sent: deque[tuple[Mark, int]] = deque(maxlen=1000)  # with the CRC-32 of the JPEG
        self._frozen: Mark | None = None
        self._began_s = time.monotonic() - zlib.crc32(name.encode()) % 1000 / 1000 / fps

    def freeze(self) -> None:
        """Repeat the current picture from the next tick on."""
        self._frozen = self._mark()

    def thaw(self) -> None:
        self._frozen = None

    def parts(self) -> Iterator[bytes | None]:
        """Yield what one viewer gets at each tick: a JPEG, or None if the camera is muted."""
        count = 0
        while self.closes_after == 0 or count < self.closes_after:
            ticks = (time.monotonic() - self._began_s) * self.fps
            time.sleep((1 - ticks % 1) / self.fps)
            count += not self.muted
            yield None if self.muted else self._part()

    def _part(self) -> bytes:
        return GARBAGE if self.garbage else self._picture(self._frozen or self._mark())

    def _mark(self) -> Mark:
        ticks = (time.monotonic() - self._began_s) * self.fps
        return Mark(int(ticks), time.time_ns() // 1_000_000)

    def _picture(self, mark: Mark) -> bytes:
        file = io.BytesIO()
        gray = Image.frombytes("L", self.size, draw(mark, *self.size))
        gray.convert("RGB").save(file, "JPEG", quality=85)
        self.sent.append((mark, zlib.crc32(file.getvalue())))
        return file.getvalue()


class MjpegServer:
    """Serves cameras at `http://127.0.0.1:PORT/NAME` in its own threads, until it is closed."""

    def __init__(self, *cameras: MjpegCamera) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        [self.port] = free_ports(1)
        self._http = self._started()

    def url(self, name: str, *, login: str = "") -> str:
        return f"http://{login and login + '@'}127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """Stop listening, and close every connection at its next picture."""
        self._http.shutdown()
        self._http.server_close()

    def restart(self) -> None:
        """Serve again, on the same port."""
        self._http = self._started()

    def _started(self) -> "_Server":
        http = _Server(("127.0.0.1", self.port), _Viewing)
        http.cameras = self._cameras
        threading.Thread(
            target=http.serve_forever, args=(0.05,), name="mjpeg-server", daemon=True
        ).start()
        return http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.kill()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    cameras: dict[str, MjpegCamera]
    closed = False

    def server_close(self) -> None:
        self.closed = True
        super().server_close()


class _Viewing(BaseHTTPRequestHandler):
    """One viewer's connection."""

    server: _Server
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        camera = self.server.cameras.get(self.path.lstrip("/"))
        if camera is None:
            self.send_error(404)
        elif camera.refuses:
            self.send_error(503)
        elif camera.login and not self._knows(camera.login):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        else:
            self._show(camera)

    def _knows(self, login: str) -> bool:
        wanted = "Basic " + base64.b64encode(login.encode()).decode()
        return self.headers.get("Authorization", "") == wanted

    def _show(self, camera: MjpegCamera) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(OSError):  # the viewer closed the connection
            for part in camera.parts():
                if self.server.closed:
                    break
                if part is not None:
                    self.wfile.write(HEAD % len(part) + part + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Log no requests."""
