"""A proxy between workers and brokers that can cut, stall and delay connections."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16
PAUSE_S = 0.02

Wire = tuple[str, int]  # the client's source address, and the broker that it connects to
Wires = Callable[[Wire], bool]


class Proxy:
    """Forwards from `doors` (port to listen on -> broker id) to `brokers` (broker id -> port).

    A stalled wire is half-open: connections stay, new ones are accepted, no byte is forwarded.
    Owner: the thread that calls `start`. Faults may be called from any thread.
    """

    def __init__(self, doors: Mapping[int, int], brokers: Mapping[int, int]) -> None:
        self._doors, self._brokers = doors, brokers
        self._servers: list[asyncio.Server] = []
        self._links: dict[asyncio.Task[None], Wire] = {}
        self._stalled: list[Wires] = []
        self._slow: list[tuple[Wires, float]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        for port, broker in self._doors.items():
            self._run(self._listen(port, broker))

    def stop(self) -> None:
        """Cut all connections and stop listening."""
        self.heal()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self, wires: Wires) -> int:
        """Break all connections of these wires, and return their number. New ones are accepted."""
        return int(self._run(self._cut(wires)))

    def stall(self, wires: Wires) -> Callable[[], None]:
        """Forward nothing on these wires until the returned function is called, or `heal`."""
        self._stalled = [*self._stalled, wires]

        def end() -> None:
            self._stalled = [other for other in self._stalled if other is not wires]

        return end

    def slow(self, wires: Wires, seconds: float) -> Callable[[], None]:
        """Delay every chunk on these wires by this long; ended like `stall`."""
        delay = (wires, seconds)
        self._slow = [*self._slow, delay]

        def end() -> None:
            self._slow = [other for other in self._slow if other is not delay]

        return end

    def heal(self) -> None:
        """End all stalls and delays. Delayed bytes arrive."""
        self._stalled, self._slow = [], []

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        await self._cut(lambda wire: True)
        while self._links:
            await asyncio.sleep(PAUSE_S)

    async def _cut(self, wires: Wires) -> int:
        tasks = [task for task, wire in self._links.items() if wires(wire)]
        for task in tasks:
            task.cancel()
        return len(tasks)

    async def _listen(self, port: int, broker: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            client = str(writer.get_extra_info("peername")[0])
            task = asyncio.ensure_future(self._link((client, broker), reader, writer))
            self._links[task] = (client, broker)
            task.add_done_callback(self._links.pop)

        self._servers.append(await asyncio.start_server(serve, HOST, port))

    async def _link(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Forward one connection until either side ends it or it is cut."""
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._brokers[wire[1]])
            ends.append(far_writer)
            pumps = [
                asyncio.ensure_future(self._pump(wire, reader, far_writer)),
                asyncio.ensure_future(self._pump(wire, far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.wait(pumps)
        except (OSError, asyncio.CancelledError):
            pass  # the broker is away, or a fault cut it
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                while any(wires(wire) for wires in self._stalled):
                    await asyncio.sleep(PAUSE_S)
                for wires, seconds in self._slow:
                    if wires(wire):
                        await asyncio.sleep(seconds)
                writer.write(chunk)
                await writer.drain()
