"""What one connection to the web server may cost, and how many there may be.

uvicorn limits neither the time that a request takes to arrive nor the time that its answer takes to
be read, so both limits are here. They guarantee that a probe is answered while others hold
connections: a new connection is always accepted, and the one that has been quiet for longest makes
room for it. A client that sends its request at once is answered within two rounds of the event
loop, in which at most three times ACCEPTS_PER_ROUND connections are accepted: too few to make it
the quietest of MAX_CONNECTIONS.

There is no limit per address: the probe and an attacker behind the same router have the same one.
"""

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.web.limits import ACCEPTS_PER_ROUND, ARRIVALS, MAX_CONNECTIONS, MAX_HEADER_BYTES


class BoundedConnection(H11Protocol):
    """One connection: it is closed when an exchange takes too long, or to make room for a new one.

    The time for an exchange is uvicorn's `timeout_keep_alive`, which here covers reading the
    request and writing the answer, too.
    """

    _deadline: asyncio.TimerHandle | None = None
    quiet_since_s: float = 0.0  # of the event loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the first exchange; make room if there are too many connections."""
        super().connection_made(transport)
        self._begin_exchange()
        if len(self.connections) > MAX_CONNECTIONS:
            ours = [one for one in self.connections if isinstance(one, BoundedConnection)]
            min(ours, key=lambda one: one.quiet_since_s).drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Start the next exchange. The client still has to read the answer, in its time."""
        self._begin_exchange()
        super().on_response_complete()

    def _begin_exchange(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self.quiet_since_s = self.loop.time()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self.overdue)

    def overdue(self) -> None:
        """End an exchange that has had its time."""
        self.drop()

    def drop(self) -> None:
        """Close at once, without waiting for a client that does not read."""
        self.connections.discard(self)
        self.transport.abort()


class BoundedServer(uvicorn.Server):
    """Accepts a few connections at a time; the others wait in the kernel.

    asyncio uses one number for both: how many connections it accepts in one round of its loop, and
    how many may wait in the kernel. The second one is raised again, so that a probe that arrives
    amid hundreds of connections does not have to try again after a second.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(ARRIVALS)


def bounded(
    app: Starlette, *, exchange_s: int, connection: type[BoundedConnection] = BoundedConnection
) -> BoundedServer:
    """Make the server of an application; the caller runs it on a socket."""
    return BoundedServer(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # a warning for each bad request would let strangers fill the log
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=ACCEPTS_PER_ROUND,
            timeout_keep_alive=exchange_s,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
    )
