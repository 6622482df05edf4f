"""What an opened client knows of a broker that begins to refuse it, and how long that is borne."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pipeline.broker.kafka.vendor.connecting.refusal_patience import REFUSED_S, RefusalPatience
from pipeline.broker.kafka.vendor.connecting.watching import trouble_of
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.clock import ManualClock
from pipeline.connection import Connection, Login, SaslMechanism, Security, SecurityProtocol
from pipeline.errors import BrokerUnavailableError, SecurityError
from pipeline.secrets import Secret
from tests.pipeline.broker.kafka.fault_server import REFUSED, Faults, FaultServer

WAIT_S = 15.0
LOGIN = Login(SaslMechanism.PLAIN, "worker", Secret("word"))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    made = FaultServer(Faults())
    yield made
    made.close()


def until(found: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_login_that_is_refused_while_running_is_known_until_it_is_accepted_again(
    server: FaultServer,
) -> None:
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=LOGIN)
    with closing(open_consumer(Connection(server.address, security))) as consumer:
        assert trouble_of(consumer) is None
        server.become(Faults(login=REFUSED))
        until(lambda: trouble_of(consumer) is not None)
        until(lambda: "refuses the login of user worker" in str(trouble_of(consumer)))
        server.become(Faults())
        until(lambda: trouble_of(consumer) is None)


def test_a_refused_login_is_tried_again_with_pauses(server: FaultServer) -> None:
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=LOGIN)
    with closing(open_consumer(Connection(server.address, security))) as consumer:
        server.become(Faults(login=REFUSED))
        until(lambda: trouble_of(consumer) is not None)
        before, began_s = server.accepted, time.monotonic()
        until(lambda: server.accepted > before + 2)
        assert server.accepted - before < 50 * (1 + time.monotonic() - began_s)


def refused(patience: RefusalPatience) -> None:
    with patience.retried():
        raise SecurityError("wrong password")


def test_a_refusal_is_retried_for_a_while_and_then_ends_the_worker() -> None:
    clock = ManualClock()
    patience = RefusalPatience(clock)
    for _ in range(2):
        with pytest.raises(BrokerUnavailableError, match="wrong password"):
            refused(patience)
        clock.advance(REFUSED_S)
    clock.advance(1)
    with pytest.raises(SecurityError):
        refused(patience)


def test_a_login_that_is_accepted_once_starts_the_patience_afresh() -> None:
    clock = ManualClock()
    patience = RefusalPatience(clock)
    with pytest.raises(BrokerUnavailableError):
        refused(patience)
    with patience.retried():
        clock.advance(REFUSED_S + 1)
    with pytest.raises(BrokerUnavailableError):
        refused(patience)
