"""That a closed client leaves no socket open, whatever it was doing with it."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from pipeline.broker.kafka.vendor.connecting.watching import WatchedClient, watched_client
from pipeline.broker.kafka.vendor.logins import vendor_settings
from pipeline.connection import Security, SecurityProtocol, Tls
from tests.pipeline.broker.kafka.authority import Authority
from tests.pipeline.broker.kafka.fault_server import Faults, FaultServer
from tests.pipeline.broker.kafka.test_refusals import served_by

BOOTSTRAP = "bootstrap-0"
MORE_THAN_A_SOCKET_HOLDS = bytes(32 << 20)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def security(request: pytest.FixtureRequest, authority: Authority) -> Security:
    protocol = SecurityProtocol.SSL if request.param else SecurityProtocol.PLAINTEXT
    return Security(protocol, Tls(ca=authority.ca) if request.param else Tls())


def test_a_client_that_is_closed_while_it_connects(security: Security) -> None:
    with closing(FaultServer(Faults(silent=True))) as server:
        client = opened(server.port, security)
        polled_until(client, lambda: sockets_to(server.port))
        client.close()
        assert not sockets_to(server.port)


def test_a_client_that_is_closed_with_something_to_send(
    security: Security, authority: Authority
) -> None:
    with listening(authority if security.protocol.has_tls else None) as port:
        client = opened(port, security)
        connection = connection_of(client)
        polled_until(client, lambda: connection.transport is not None)
        connection.transport.write(MORE_THAN_A_SOCKET_HOLDS)
        client.poll(timeout_ms=100)  # type: ignore[no-untyped-call]
        assert sockets_to(port)
        connection.transport.close()  # as of a connection that is served
        client.close()
        assert not sockets_to(port)


@contextmanager
def listening(authority: Authority | None) -> Iterator[int]:
    """Accept one connection, shake hands, and read nothing. Yields the port."""
    held: list[socket.socket] = []

    def serve() -> None:
        held.append(listener.accept()[0])
        if authority is not None:
            tls = served_by(authority.papers("broker"))
            held.append(tls.wrap_socket(held[0], server_side=True))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
    server.join()
    for one in held:
        one.close()


def opened(port: int, security: Security) -> WatchedClient:
    servers = [f"127.0.0.1:{port}"]
    client = watched_client(security, bootstrap_servers=servers, **vendor_settings(security))
    connection_of(client)
    return client


def connection_of(client: WatchedClient) -> Any:
    return client._manager.get_connection(BOOTSTRAP)  # noqa: SLF001 - the vendor's way


def polled_until(client: WatchedClient, happened: Callable[[], object]) -> None:
    while not happened():
        client.poll(timeout_ms=20)  # type: ignore[no-untyped-call]


def sockets_to(port: int) -> list[socket.socket]:
    """Our open ends of the connections to a port of this machine."""
    every = [one for one in gc.get_objects() if isinstance(one, socket.socket)]
    return [one for one in every if one.fileno() != -1 and peer_of(one) == ("127.0.0.1", port)]


def peer_of(one: socket.socket) -> object:
    with suppress(OSError):
        return one.getpeername()
    return None
