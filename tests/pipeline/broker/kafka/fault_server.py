"""A server that knows the first requests of Kafka's protocol, and answers them wrongly on request.

It stands for brokers with faults that a healthy Kafka does not have.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

METADATA, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 3, 17, 18, 36
NONE, UNSUPPORTED_MECHANISM, ILLEGAL_SASL, UNSUPPORTED_VERSION, REFUSED = 0, 33, 34, 35, 58
VERSIONS = {
    METADATA: (0, 1),
    SASL_HANDSHAKE: (0, 1),
    API_VERSIONS: (0, 0),
    SASL_AUTHENTICATE: (0, 0),
}


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a server; by default it is a Kafka whose address is its own."""

    tls: ssl.SSLContext | None = None
    greeting: bytes = b""  # what it says instead of Kafka's answers
    silent: bool = False  # whether it accepts connections and says nothing
    silent_from: int = 1 << 30  # the number of the first connection on which it says nothing
    closes_at: int | None = None  # the request at which it closes the connection
    handshake: int = NONE  # its answer to SaslHandshake
    mechanisms: Sequence[str] = ("PLAIN", "SCRAM-SHA-512")
    login: int = NONE  # its answer to SaslAuthenticate
    challenge: bytes = b""  # what that answer holds for the mechanism
    advertised: tuple[str, int] | None = None  # None: its own


class FaultServer:
    """Listens on loopback until it is closed."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.accepted = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True, name="fault-server").start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def become(self, faults: Faults) -> None:
        """Have these faults from now on, and close all connections."""
        self._faults = faults
        self._drop(self._open)

    def close(self) -> None:
        self._drop((self._listening, *self._open))

    def _drop(self, sockets: Sequence[socket.socket]) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listening.accept()
                self.accepted += 1
                self._open.append(connected)
                if self.accepted < self._faults.silent_from:
                    threading.Thread(target=self._talk, args=(connected,), daemon=True).start()

    def _talk(self, connected: socket.socket) -> None:
        with suppress(OSError, struct.error):
            if self._faults.tls is not None and not self._faults.silent:
                connected = self._faults.tls.wrap_socket(connected, server_side=True)
                self._open.append(connected)
            while not self._faults.silent and self._answer(connected):
                pass
        if not self._faults.silent:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()

    def _answer(self, connected: socket.socket) -> bool:
        """Answer one request. Returns whether the connection stays open."""
        head = _received(connected, 12)
        length, api, version, number = struct.unpack(">ihhi", head)
        if self._faults.greeting:
            connected.sendall(self._faults.greeting)
            return False
        if not 8 <= length < 1 << 20:
            return False
        _received(connected, length - 8)
        if api == self._faults.closes_at:
            return False
        body = struct.pack(">i", number) + self._body(api, version)
        connected.sendall(struct.pack(">i", len(body)) + body)
        return True

    def _body(self, api: int, version: int) -> bytes:
        faults = self._faults
        answers: dict[int, Callable[[], bytes]] = {
            API_VERSIONS: lambda: _versions(NONE if version == 0 else UNSUPPORTED_VERSION),
            SASL_HANDSHAKE: lambda: (
                struct.pack(">h", faults.handshake)
                + _array([_text(one) for one in faults.mechanisms])
            ),
            SASL_AUTHENTICATE: lambda: (
                struct.pack(">h", faults.login)
                + _text("bad \x1b[31m credentials")
                + struct.pack(">i", len(faults.challenge))
                + faults.challenge
            ),
            METADATA: self._metadata,
        }
        return answers[api]()

    def _metadata(self) -> bytes:
        host, port = self._faults.advertised or ("127.0.0.1", self.port)
        broker = struct.pack(">i", 1) + _text(host) + struct.pack(">ih", port, -1)
        return _array([broker]) + struct.pack(">i", 1) + _array([])


def _versions(error: int) -> bytes:
    rows = [struct.pack(">hhh", api, *versions) for api, versions in VERSIONS.items()]
    return struct.pack(">h", error) + _array(rows)


def _array(rows: Sequence[bytes]) -> bytes:
    return struct.pack(">i", len(rows)) + b"".join(rows)


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _received(connected: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connected.recv(size - len(found))
        if not part:
            raise ConnectionResetError
        found += part
    return found
