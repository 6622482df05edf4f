"""The web server among clients that are slow, many or hostile: it answers probes all the same."""

import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from pipeline.web.health import Health
from pipeline.web.limits import MAX_CONNECTIONS
from pipeline.web.server import Server

HALF = b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-a: "
REST = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HUGE = b"a" * 5_000_000
SMALL_BUFFER = 65_536  # a machine's own may take a whole answer for a client that reads nothing

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Metrics of 10 MB."""
    registry = CollectorRegistry()
    frames = Counter("frames", "Frames.", ["stream"], registry=registry)
    for number in range(5_000):
        frames.labels(f"{number:01000}")
    return registry


@pytest.fixture
def impatient(registry: CollectorRegistry) -> Iterator[Server]:
    """Give clients one second."""
    server = Server(registry, Health, host="127.0.0.1", port=0, exchange_s=1)
    server.start()
    assert alive(server)  # so its thread has opened what it needs
    yield server
    server.stop()


@pytest.fixture
def patient(registry: CollectorRegistry) -> Iterator[Server]:
    """Give clients all the time of these tests: only their number is limited."""
    server = Server(registry, Health, host="127.0.0.1", port=0, exchange_s=600)
    server.start()
    assert alive(server)  # so its thread has opened what it needs
    yield server
    server.stop()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def connected(server: Server, sent: bytes = b"") -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    client.settimeout(60)
    client.connect(("127.0.0.1", server.port))
    with contextlib.suppress(ConnectionError):  # the server need not read it to its end
        client.sendall(sent)
    return client


def trickle(client: socket.socket) -> None:
    """Send a byte, time and again, until the server closes."""
    while True:
        with contextlib.suppress(TimeoutError):
            client.recv(1)
        client.sendall(b"a")


def rest(client: socket.socket) -> bytes:
    """Return what the server sends until it closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            received += piece
    return received


def answer(server: Server, request: bytes) -> bytes:
    """Return the first line of the answer, or nothing."""
    with connected(server, request) as client:
        return rest(client).partition(b"\r\n")[0]


def alive(server: Server) -> bool:
    return answer(server, b"GET /healthz" + REST) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("sent", [b"", b"G", HALF, b"POST /x HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_does_not_end_is_dropped(impatient: Server, sent: bytes) -> None:
    with connected(impatient, sent) as client:
        assert rest(client) == b""


def test_a_request_that_arrives_byte_by_byte_is_dropped(impatient: Server) -> None:
    with connected(impatient, HALF) as client:
        client.settimeout(0.02)
        with pytest.raises(ConnectionError):
            trickle(client)


def test_a_client_that_does_not_read_its_answer_is_dropped(impatient: Server) -> None:
    before = descriptors()
    with connected(impatient, b"GET /metrics" + REST) as client:
        assert client.recv(1)
        while descriptors() > before + 1:  # the client's own
            assert alive(impatient)
        assert len(rest(client)) < 10_000_000


def test_a_connection_that_stays_open_is_dropped_when_no_request_follows(impatient: Server) -> None:
    with connected(impatient, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert rest(client).endswith(b"alive\n")


@pytest.mark.parametrize("sent", [b"", HALF, b"GET /metrics" + REST])
def test_many_connections_neither_hold_descriptors_nor_a_probe(
    patient: Server, sent: bytes
) -> None:
    with contextlib.ExitStack() as held:
        before = descriptors()
        many = [held.enter_context(connected(patient, sent)) for _ in range(900)]
        assert all(alive(patient) for _ in range(20))
        assert descriptors() - before - len(many) <= MAX_CONNECTIONS
        assert rest(many[0]) == b"" or sent.startswith(b"GET /metrics")


HOSTILE = {
    "traversal": (b"GET /../../../etc/passwd" + REST, b"404 Not Found"),
    "traversal in escapes": (b"GET /%2e%2e/%2e%2e/etc/passwd" + REST, b"404 Not Found"),
    "another method": (b"DELETE /healthz" + REST, b"405 Method Not Allowed"),
    "a new line in the path": (b"GET /readyz%0d%0aSet-Cookie:x" + REST, b"404 Not Found"),
    "two lengths": (
        b"GET /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n"
        b"Connection: close\r\n\r\n0\r\n\r\n",
        b"503 Service Unavailable",
    ),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"404 Not Found"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01" * 50 + b"\r\n\r\n", b"400 Bad Request"),
    "a web socket": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
        b"Connection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        b"200 OK",
    ),
    "a long header": (HALF + HUGE + b"\r\n\r\n", b"400 Bad Request"),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000 + b"\r\n", b"400 Bad Request"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_and_the_server_lives(patient: Server, name: str) -> None:
    request, expected = HOSTILE[name]
    assert answer(patient, request).removeprefix(b"HTTP/1.1 ") in {expected, b""}
    assert alive(patient)


@pytest.mark.parametrize(
    "head",
    [HALF, b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9" + b"9" * 15 + b"\r\n\r\n"],
)
def test_bytes_without_end_cost_no_memory(patient: Server, head: bytes) -> None:
    with contextlib.suppress(ConnectionError), connected(patient, head) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(20):
            client.sendall(HUGE)
        grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        assert grown_bytes < 20_000_000
    assert alive(patient)
