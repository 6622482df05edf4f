"""One time limit for all steps of a wait for a source, and a socket that keeps within it."""

import io
import socket
import ssl
from typing import Protocol

from pipeline.clock import Clock


class Patience:
    """How long a source may still take. `begin` starts a new wait. One thread uses it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s = 0.0

    def begin(self, limit_s: float) -> None:
        """Start a wait of at most `limit_s`."""
        self._until_s = self._clock.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """The rest of the wait. Raises `TimeoutError` if it is over."""
        left_s = self._until_s - self._clock.monotonic()
        if left_s <= 0:
            raise TimeoutError("the source took too long")
        return left_s


class Readable(Protocol):
    """What `http.client.HTTPResponse` needs of a socket."""

    def makefile(self, mode: str, /) -> io.BufferedReader:
        """Return a reader of what arrives."""


class TimedSocket:
    """A connection whose every operation keeps within a `Patience`. See `Readable`.

    A socket's own time limit holds for each byte: a server that sends one byte now and then would
    never exceed it.
    """

    def __init__(self, host: str, port: int, patience: Patience) -> None:
        self._patience = patience
        self._socket = socket.create_connection((host, port), timeout=patience.left_s)

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Continue with TLS. Raises `ssl.SSLError`."""
        self._socket.settimeout(self._patience.left_s)
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def send(self, content: bytes) -> None:
        """Send all of it."""
        self._socket.settimeout(self._patience.left_s)
        self._socket.sendall(content)

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for bytes, and return how many came; 0: the other side has closed."""
        self._socket.settimeout(self._patience.left_s)
        return self._socket.recv_into(buffer)

    def makefile(self, mode: str = "rb", /) -> io.BufferedReader:
        """See `Readable`."""
        del mode
        return io.BufferedReader(_TimedReader(self))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, line: TimedSocket) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # Buffer, since 3.12
        return self._line.receive_into(buffer)
