"""What is said of a connection that cannot succeed, and that it is said at once.

The servers here have faults that a healthy Kafka does not have. `bootstrap_timeout_ms` is longer
than any test may take, so that an attempt which goes on until then fails its test.
"""

import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.broker.kafka.vendor.opening import open_admin, open_consumer, open_producer
from pipeline.connection import (
    Connection,
    Login,
    OAuth,
    SaslMechanism,
    Security,
    SecurityProtocol,
    Tls,
)
from pipeline.errors import BrokerUnavailableError, ConfigError, SecurityError
from pipeline.secrets import Secret
from tests.pipeline.broker.kafka.authority import DAY, Authority, Papers
from tests.pipeline.broker.kafka.fault_server import (
    API_VERSIONS,
    ILLEGAL_SASL,
    METADATA,
    REFUSED,
    SASL_AUTHENTICATE,
    UNSUPPORTED_MECHANISM,
    Faults,
    FaultServer,
)

pytestmark = pytest.mark.timeout(20)

NEVER_MS = 60_000
ALERT = b"\x15\x03\x03\x00\x02\x02\x50"
PLAIN_LOGIN = Login(SaslMechanism.PLAIN, "worker", Secret("wrong"))
OPENERS = (open_admin, open_consumer, open_producer)
Serve = Callable[..., FaultServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers with faults."""
    started: list[FaultServer] = []

    def start(**faults: object) -> FaultServer:
        started.append(FaultServer(replace(Faults(), **faults)))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "strange")


def served_by(papers: Papers, *, clients_of: Authority | None = None) -> ssl.SSLContext:
    """The TLS of a server, which wants a certificate of its clients if `clients_of` is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.certificate, papers.key)
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_of.ca)
    return context


def secured(tls: Tls, login: Login | None = None) -> Security:
    return Security(SecurityProtocol.SASL_SSL if login else SecurityProtocol.SSL, tls, login)


def complaint(
    server: FaultServer | str,
    security: Security = Security(),  # noqa: B008 - a frozen value
    *,
    error: type[Exception] = SecurityError,
    patience_ms: int = NEVER_MS,
    openers: Sequence[Callable[..., object]] = OPENERS,
) -> str:
    """What is said of a server, without its address, when a client of each kind is opened."""
    address = server if isinstance(server, str) else server.address
    said = set()
    for opened in openers:
        with pytest.raises(error) as caught:
            opened(Connection(address, security), bootstrap_timeout_ms=patience_ms)
        assert type(caught.value) is error
        said.add(str(caught.value).replace(address, "AT"))
    (one,) = said
    return one


def test_a_server_without_faults_is_opened(serve: Serve) -> None:
    for opened in OPENERS:
        opened(Connection(serve().address), bootstrap_timeout_ms=NEVER_MS).close()


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"greeting": b"HTTP/1.1 400 Bad Request"}, "AT is no Kafka: it answers in HTTP"),
        ({"greeting": b"-ERR unknown command"}, "AT is no Kafka: it answers in text ('-ERR')"),
        ({"greeting": b"\xff\xfe\xfd\xfc\xfb"}, "AT is no Kafka: its answer is none of Kafka's"),
        ({"greeting": ALERT}, "AT speaks TLS, but security_protocol is PLAINTEXT"),
        ({"closes_at": METADATA}, "at the first request without a login: set security_protocol"),
    ],
)
def test_a_port_of_another_protocol_is_named(
    serve: Serve, faults: dict[str, object], words: str
) -> None:
    assert words in complaint(serve(**faults))


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"login": REFUSED}, "AT refuses the login of user worker by PLAIN: wrong password, or no"),
        ({"login": REFUSED}, "bad ?[31m credentials"),
        (
            {"handshake": UNSUPPORTED_MECHANISM, "mechanisms": ["GSSAPI", "SCRAM-SHA-256"]},
            "AT has not enabled PLAIN, but GSSAPI, SCRAM-SHA-256",
        ),
        ({"handshake": ILLEGAL_SASL}, "AT takes no login: set security_protocol = PLAINTEXT"),
    ],
)
def test_a_login_that_is_refused_is_named_with_its_user(
    serve: Serve, faults: dict[str, object], words: str
) -> None:
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=PLAIN_LOGIN)
    assert words in complaint(serve(**faults), security)


def test_a_certificate_of_an_unknown_authority_is_named_with_the_setting(
    serve: Serve, authority: Authority, stranger: Authority
) -> None:
    server = serve(tls=served_by(stranger.papers("broker")))
    said = complaint(server, secured(Tls(ca=authority.ca)))
    assert (
        f"the certificate of AT is signed by no authority in ssl_ca_location = {authority.ca}"
        in said
    )
    assert "no authority that this system trusts (set ssl_ca_location" in complaint(
        server, secured(Tls())
    )


def test_a_certificate_for_another_host_is_named_with_both_names(
    serve: Serve, authority: Authority
) -> None:
    server = serve(tls=served_by(authority.papers("other", host="kafka.example.org")))
    said = complaint(server, secured(Tls(ca=authority.ca)))
    assert "the certificate of AT is for kafka.example.org, not for 127.0.0.1" in said


@pytest.mark.parametrize(
    ("starts", "ends", "words"),
    [(-2 * DAY, -DAY, "has expired"), (DAY, 2 * DAY, "is not valid yet")],
)
def test_a_certificate_outside_of_its_time_is_named(
    serve: Serve, authority: Authority, starts: timedelta, ends: timedelta, words: str
) -> None:
    server = serve(tls=served_by(authority.papers("aged", starts=starts, ends=ends)))
    said = complaint(server, secured(Tls(ca=authority.ca)))
    assert f"the certificate of AT, or that of its authority, {words}" in said
    assert "clock of this machine" in said


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_missing_or_refused_is_named(
    serve: Serve, authority: Authority, stranger: Authority, version: ssl.TLSVersion
) -> None:
    """In TLS 1.3 the alert comes after the handshake."""
    context = served_by(authority.papers("broker"), clients_of=authority)
    context.maximum_version = version
    server, ours = serve(tls=context), stranger.papers("client")
    none = complaint(server, secured(Tls(ca=authority.ca)))
    wrong = complaint(server, secured(Tls(authority.ca, ours.certificate, ours.key)))
    assert "AT wants a client certificate, and we show none" in none
    assert f"AT refuses our certificate ssl_certificate_location = {ours.certificate}" in wrong


def test_a_port_without_tls_is_named_though_it_only_closes_the_connection(
    serve: Serve, authority: Authority
) -> None:
    said = complaint(serve(), secured(Tls(ca=authority.ca)))
    assert "AT does not speak TLS, but security_protocol is SSL" in said


@pytest.mark.parametrize("host", ["127.0.0.1:1", "kafka-0.nowhere.invalid:9092"])
def test_an_advertised_address_that_cannot_be_reached_is_named(serve: Serve, host: str) -> None:
    name, _, port = host.partition(":")
    server = serve(advertised=(name, int(port)))
    said = complaint(server, error=BrokerUnavailableError, openers=[open_consumer])
    assert said.startswith(f"the Kafka at AT names as its brokers {host} (their advertised.listen")


def test_an_advertised_name_that_the_certificate_lacks_is_named(
    serve: Serve, authority: Authority
) -> None:
    context = served_by(authority.papers("broker"))
    server = serve(tls=context, advertised=("localhost", 0))
    other = serve(tls=context, advertised=("localhost", server.port))
    said = complaint(other, secured(Tls(ca=authority.ca)))
    assert f"names as its brokers localhost:{server.port}" in said
    assert "is for 127.0.0.1, not for localhost" in said


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"silent": True}, "the port accepts the connection, but does not answer: is it a Kafka"),
        ({"closes_at": API_VERSIONS}, "closes the connection without an answer: is it a Kafka"),
    ],
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_what_may_heal_is_tried_again_until_the_time_is_over(
    serve: Serve, authority: Authority, faults: dict[str, object], words: str, *, encrypted: bool
) -> None:
    server = serve(**faults | ({"tls": served_by(authority.papers("b"))} if encrypted else {}))
    security = secured(Tls(ca=authority.ca)) if encrypted else Security()
    said = complaint(server, security, error=BrokerUnavailableError, patience_ms=600)
    assert said.startswith("no Kafka answers at AT: ")
    assert words in said or "behind the TLS handshake: perhaps it wants a client" in said


def test_the_reason_is_not_lost_when_the_last_attempt_is_cut_short(serve: Serve) -> None:
    server = serve(closes_at=API_VERSIONS, silent_from=2)
    openers = (open_admin,)
    said = complaint(server, error=BrokerUnavailableError, patience_ms=1500, openers=openers)
    assert "closes the connection without an answer: is it a Kafka" in said


def test_a_name_that_does_not_resolve_is_named() -> None:
    said = complaint("nowhere.invalid:9092", error=BrokerUnavailableError, patience_ms=300)
    assert said.startswith("no Kafka answers at AT: this name does not resolve. Is it running?")


def test_one_server_that_refuses_us_does_not_keep_us_from_the_others(
    serve: Serve, authority: Authority
) -> None:
    wrong = serve(tls=served_by(authority.papers("aged", starts=-2 * DAY, ends=-DAY)))
    right = serve(tls=served_by(authority.papers("broker")))
    servers = f"{wrong.address},{right.address}"
    opened = open_admin(
        Connection(servers, secured(Tls(ca=authority.ca))), bootstrap_timeout_ms=NEVER_MS
    )
    opened.close()


def test_a_token_endpoint_that_is_away_is_named_with_the_broker(serve: Serve) -> None:
    oauth = OAuth("http://127.0.0.1:1/token", "camera", Secret("s"))
    login = Login(SaslMechanism.OAUTHBEARER, oauth=oauth)
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=login)
    server = serve(mechanisms=["OAUTHBEARER"])
    said = complaint(server, security, error=BrokerUnavailableError, patience_ms=400)
    assert "the token endpoint http://127.0.0.1:1 does not answer" in said


def test_a_broker_that_closes_during_the_login_is_named(serve: Serve) -> None:
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=PLAIN_LOGIN)
    server = serve(closes_at=SASL_AUTHENTICATE)
    said = complaint(server, security, error=BrokerUnavailableError, patience_ms=300)
    assert "the broker closes the connection" in said


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (b"r=x,s=c2FsdA==,i=1", ": 4096 to 1,000,000 iterations are wanted. Look at bootstrap"),
        (b"r=x,s=c2FsdA==,i=4096", ". Look at bootstrap and sasl_mechanism"),
        (b"no SCRAM", ". Look at bootstrap and sasl_mechanism"),
        (b"\xff", ". Look at bootstrap and sasl_mechanism"),
    ],
)
def test_a_server_that_breaks_the_rules_of_scram_is_named(
    serve: Serve, challenge: bytes, words: str
) -> None:
    scram = replace(PLAIN_LOGIN, mechanism=SaslMechanism.SCRAM_SHA_512)
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=scram)
    said = complaint(serve(challenge=challenge), security)
    assert said == f"the server does not answer a login by SCRAM as a broker does{words}"


def test_a_secret_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    login = replace(PLAIN_LOGIN, password=Secret(f"${{file:{tmp_path}/gone}}"))
    security = Security(SecurityProtocol.SASL_PLAINTEXT, login=login)
    said = complaint("127.0.0.1:1", security, error=ConfigError)
    assert (
        said
        == f"sasl_password: the secret in {tmp_path}/gone cannot be read: No such file or directory"
    )
