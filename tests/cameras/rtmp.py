"""An RTMP server that lets every viewer play the same tags of an FLV, as fast as they are taken.

It is as much of RTMP as a player needs: handshake, chunks, and the answers to three commands.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import BinaryIO

from tests.cameras.hostile import running

SET_CHUNK_SIZE, COMMAND = 1, 20  # kinds of messages
HANDSHAKE_BYTES = 1536
FIRST_CHUNK_BYTES, CHUNK_BYTES = 128, 1 << 20
STREAM = 1.0


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Print nothing: viewers leave when they have seen enough."""


@contextmanager
def rtmp(tags: Sequence[bytes]) -> Iterator[str]:
    """Serve FLV tags in this order, and then the end of the stream; yields the URL."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                _serve(self.request, tags)

    server = _Server(("127.0.0.1", 0), Handler)
    with running(server):
        yield f"rtmp://127.0.0.1:{server.server_address[1]}/live/gate"


def _serve(line: socket.socket, tags: Sequence[bytes]) -> None:
    file = line.makefile("rb")
    hello = file.read(1 + HANDSHAKE_BYTES)[1:]
    line.sendall(b"\x03" + bytes(HANDSHAKE_BYTES) + hello)
    file.read(HANDSHAKE_BYTES)
    line.sendall(_message(SET_CHUNK_SIZE, struct.pack(">I", CHUNK_BYTES)))
    for name, number in _commands(file):
        if name == "connect":
            line.sendall(_message(COMMAND, _amf("_result", number, {}, _status("Connect.Success"))))
        elif name == "createStream":
            line.sendall(_message(COMMAND, _amf("_result", number, None, STREAM)))
        elif name == "play":
            line.sendall(_message(COMMAND, _amf("onStatus", 0.0, None, _status("Play.Start"))))
            line.sendall(b"".join(_message(*_read_tag(tag)) for tag in tags))
            line.sendall(_message(COMMAND, _amf("onStatus", 0.0, None, _status("Play.Stop"))))
            return


def _status(code: str) -> dict[str, str]:
    return {"level": "status", "code": f"NetStream.{code}"}


def _commands(file: BinaryIO) -> Iterator[tuple[str, float]]:
    """Yield the name and the number of each command."""
    for kind, body in _messages(file):
        if kind == COMMAND:
            end = 3 + int.from_bytes(body[1:3])
            yield body[3:end].decode(), struct.unpack(">d", body[end + 1 : end + 9])[0]


def _messages(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Put the chunks of each channel together; yields the kind and the body of each message."""
    chunk_bytes, heads, bodies = FIRST_CHUNK_BYTES, dict[int, bytes](), dict[int, bytes]()
    while first := file.read(1):
        form, channel = first[0] >> 6, first[0] & 0x3F
        head = file.read((11, 7, 3, 0)[form])
        heads[channel] = head if form < 2 else heads[channel]
        length, kind = int.from_bytes(heads[channel][3:6]), heads[channel][6]
        body = bodies.pop(channel, b"")
        body += file.read(min(chunk_bytes, length - len(body)))
        if len(body) < length:
            bodies[channel] = body
            continue
        if kind == SET_CHUNK_SIZE:
            chunk_bytes = int.from_bytes(body)
        yield kind, body


def _message(kind: int, body: bytes, at_ms: int = 0) -> bytes:
    """Return a message in one chunk."""
    channel, stream = (2, 0) if kind == SET_CHUNK_SIZE else (4, 1)
    lengths = at_ms.to_bytes(3) + len(body).to_bytes(3)
    return bytes([channel]) + lengths + bytes([kind]) + stream.to_bytes(4, "little") + body


def _read_tag(tag: bytes) -> tuple[int, bytes, int]:
    """Return the kind, the body and the time of a tag."""
    return tag[0], tag[11:-4], int.from_bytes(tag[4:7])


def _amf(*values: str | float | dict[str, str] | None) -> bytes:
    """Encode values in AMF 0."""
    return b"".join(_amf_value(one) for one in values)


def _amf_value(value: str | float | dict[str, str] | None) -> bytes:
    if value is None:
        return b"\x05"
    if isinstance(value, float):
        return b"\x00" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"\x02" + _amf_name(value)
    fields = b"".join(_amf_name(name) + _amf_value(one) for name, one in value.items())
    return b"\x03" + fields + b"\0\0\x09"


def _amf_name(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
