"""Our logins refuse what a server that is no broker could ask for."""

import pytest

from pipeline.broker.kafka.vendor.logins import PASSWORD, USER, ScramLogin
from pipeline.errors import SecurityError
from pipeline.secrets import Secret


def sent(login: ScramLogin) -> bytes:
    """Return what the login sends next."""
    return bytes(login.auth_bytes())  # type: ignore[no-untyped-call]


def asked(iterations: bytes) -> ScramLogin:
    """Return a login that a server has asked for an answer with so many iterations."""
    login = ScramLogin(
        sasl_mechanism="SCRAM-SHA-512", **{USER: "worker", PASSWORD: Secret("s3cret")}
    )
    nonce = sent(login).rpartition(b"r=")[2]
    login.receive(b"r=%bx,s=c2FsdA==,i=%b" % (nonce, iterations))
    return login


@pytest.mark.parametrize("few", [b"1", b"4095", b"4096,i=1", b"1,i=4096", b"-5", b"9" * 5_000, b""])
def test_a_server_gets_no_answer_from_which_it_could_guess_the_password(few: bytes) -> None:
    with pytest.raises(SecurityError, match="4096 to 1,000,000 iterations are wanted") as caught:
        asked(few)
    assert "s3cret" not in str(caught.value)


def test_what_a_broker_asks_is_answered() -> None:
    assert b",p=" in sent(asked(b"4096"))
