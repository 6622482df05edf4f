"""The worker's web server: its answers, and conflicts about its port."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter

from pipeline.errors import PortTakenError
from pipeline.web.health import Health
from pipeline.web.server import Server


@dataclass
class Served:
    """A server, and the health of its worker."""

    port: int = 0
    health: Health = field(default_factory=Health)

    def get(self, path: str) -> tuple[int, str, str]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers["content-type"], answer.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    state, registry = Served(), CollectorRegistry()
    Counter("frames", "Frames.", registry=registry).inc(3)
    server = Server(registry, lambda: state.health, host="127.0.0.1", port=0)
    server.start()
    state.port = server.port
    yield state
    server.stop()


def test_it_is_alive_before_it_is_ready(served: Served) -> None:
    assert served.get("/healthz")[::2] == (200, "alive\n")
    assert served.get("/readyz")[::2] == (503, "restoring, or not in the group yet\n")


def test_it_is_ready_when_the_worker_is(served: Served) -> None:
    served.health = Health(ready=True)
    assert served.get("/readyz")[::2] == (200, "ready\n")


def test_what_it_does_before_it_can_work_is_told(served: Served) -> None:
    served.health = Health(starting="making a plan, 3 of 7")
    assert served.get("/healthz")[::2] == (200, "alive, starting: making a plan, 3 of 7\n")
    assert served.get("/readyz")[::2] == (503, "making a plan, 3 of 7\n")


def test_what_keeps_it_from_working_now_is_told(served: Served) -> None:
    served.health = Health(trouble="k:9093 refuses the login of user worker")
    wanted = "alive, in trouble: k:9093 refuses the login of user worker\n"
    assert served.get("/healthz")[::2] == (200, wanted)
    assert served.get("/readyz")[::2] == (503, "k:9093 refuses the login of user worker\n")


def test_why_it_cannot_work_is_told(served: Served) -> None:
    served.health = Health(failure="the engine cannot start: no GPU")
    for path in ("/healthz", "/readyz"):
        assert served.get(path)[::2] == (503, "the engine cannot start: no GPU\n")


def test_what_a_server_said_to_it_is_shown_as_text(served: Served) -> None:
    served.health = Health(failure="<script>\r\n\r\n\x1b[2J\ud800\u202e")
    status, kind, text = served.get("/healthz")
    assert (status, kind.split(";")[0]) == (503, "text/plain")
    assert text == "<script>\\r\\n\\r\\n\\u001b[2J\\ud800\\u202e\n"


def test_metrics_are_what_prometheus_reads(served: Served) -> None:
    status, kind, text = served.get("/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert "frames_total 3.0\n" in text


def test_nothing_else_is_served(served: Served) -> None:
    assert served.get("/")[0] == 404


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port}: Address already in use; cho"):
            Server(CollectorRegistry(), Health, host="127.0.0.1", port=port)


def test_the_port_is_free_again_after_a_stop() -> None:
    first = Server(CollectorRegistry(), Health, host="127.0.0.1", port=0)
    first.start()
    first.stop()
    second = Server(CollectorRegistry(), Health, host="127.0.0.1", port=first.port)
    second.start()
    second.stop()
