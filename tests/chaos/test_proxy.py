"""The proxy does what its methods say to connections."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pipeline.local.ports import free_ports
from tests.chaos.proxy import HOST, Proxy, Wire


def everything(wire: Wire) -> bool:
    return wire[1] == 1


@pytest.fixture
def door() -> Iterator[tuple[Proxy, int]]:
    """A proxy before a server that echoes."""
    outer, inner = free_ports(2)
    with socket.create_server((HOST, inner)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        proxy = Proxy({outer: 1}, {1: inner})
        proxy.start()
        yield proxy, outer
        proxy.stop()


def echo(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=mirror, args=(client,), daemon=True).start()


def mirror(client: socket.socket) -> None:
    with client, suppress(OSError):
        while chunk := client.recv(1024):
            client.sendall(chunk)


def call(port: int) -> socket.socket:
    client = socket.create_connection((HOST, port), 10)
    client.settimeout(10)
    return client


def test_what_goes_in_comes_out(door: tuple[Proxy, int]) -> None:
    with call(door[1]) as client:
        client.sendall(b"frame")
        assert client.recv(100) == b"frame"


def test_a_cut_ends_connections_and_lets_new_ones_through(door: tuple[Proxy, int]) -> None:
    proxy, port = door
    with call(port) as client:
        client.sendall(b"frame")
        client.recv(100)
        assert proxy.cut(everything) == 1
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""
    with call(port) as client:
        client.sendall(b"frame")
        assert client.recv(100) == b"frame"


def test_a_stalled_wire_keeps_its_connection_and_delivers_afterwards(
    door: tuple[Proxy, int],
) -> None:
    proxy, port = door
    with call(port) as client:
        end = proxy.stall(everything)
        client.sendall(b"frame")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        end()
        client.settimeout(10)
        assert client.recv(100) == b"frame"


def test_other_wires_than_the_stalled_ones_go_on(door: tuple[Proxy, int]) -> None:
    proxy, port = door
    proxy.stall(lambda wire: wire[1] == 2)
    with call(port) as client:
        client.sendall(b"frame")
        assert client.recv(100) == b"frame"
