"""The live page of a wall in this process, behind its own server on loopback."""

import threading

from pipeline.clock import Clock
from pipeline.live.door import Door
from pipeline.live.held_pictures import HeldPictures
from pipeline.live.live_app import live_app
from pipeline.live.page_connection import PageConnection
from pipeline.live.wall import Wall
from pipeline.web.connections import bounded
from pipeline.web.server import listening

FRAME_BYTES = 1 << 20
EXCHANGE_S = 1


class ServedWall:
    """A wall without streams, and the server of its page. It can be stopped and started again."""

    def __init__(self, clock: Clock, *, token: str | None = None, most_streams: int = 10) -> None:
        pictures = HeldPictures(max_frame_bytes=FRAME_BYTES)
        self.wall = Wall(pictures, clock, most_streams=most_streams, max_frame_bytes=FRAME_BYTES)
        self._token = token
        self.port = 0
        self.start()

    def start(self) -> None:
        """Serve, on the same port as before."""
        self._listener = listening("127.0.0.1", self.port, what="the page", choose="--port")
        self.port = self._listener.getsockname()[1]
        app = live_app(self.wall, Door(self._token))
        self._server = bounded(app, exchange_s=EXCHANGE_S, connection=PageConnection)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def stop(self) -> None:
        """End the server, and all that it was sending."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
