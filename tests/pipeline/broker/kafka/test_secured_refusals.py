"""What we say of wrong logins and missing privileges on a real, secured Kafka."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace

import pytest

from pipeline.broker.kafka.privileges import Role
from pipeline.broker.kafka.topics import TopicAdmin
from pipeline.broker.kafka.uplink import KafkaUplink
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection, Login, SaslMechanism, Security, SecurityProtocol, Tls
from pipeline.errors import LongtakeError, NotPermittedError, SecurityError
from pipeline.local.cluster import LocalKafka
from pipeline.records import Topics
from pipeline.secrets import Secret
from tests.pipeline.broker.kafka.authority import Authority

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

NEVER_MS = 600_000
UNSEEN = Topics("hidden", "hidden.predictions", "hidden.dlq", "hidden.state")
Wrong = Callable[[LocalKafka, Authority], Connection]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "strange")


def changed(connection: Connection, **changes: object) -> Connection:
    return replace(connection, security=replace(connection.security, **changes))  # type: ignore[arg-type]


def login(mechanism: SaslMechanism, user: str, password: str = "wrong") -> Login:  # noqa: S107
    return Login(mechanism, user, Secret(password))


def by_password(secured: LocalKafka) -> Connection:
    return secured.connection_for(Role.WORKER)


def by_certificate(secured: LocalKafka) -> Connection:
    return secured.protection.by_certificate(Role.WORKER)


def of_stranger(secured: LocalKafka, stranger: Authority) -> Connection:
    connection, papers = by_certificate(secured), stranger.papers("worker")
    ca = connection.security.tls.ca
    return changed(connection, tls=Tls(ca, papers.certificate, papers.key))


WRONG: Mapping[str, tuple[Wrong, str]] = {
    "password": (
        lambda k, _: changed(by_password(k), login=login(SaslMechanism.SCRAM_SHA_512, "worker")),
        "AT refuses the login of user worker by SCRAM-SHA-512: wrong password, or no such user",
    ),
    "user": (
        lambda k, _: changed(by_password(k), login=login(SaslMechanism.PLAIN, "nobody")),
        "AT refuses the login of user nobody by PLAIN: wrong password, or no such user",
    ),
    "no authority": (
        lambda k, _: changed(by_password(k), tls=Tls()),
        "the certificate of AT is signed by no authority that this system trusts",
    ),
    "other authority": (
        lambda k, stranger: changed(by_password(k), tls=Tls(ca=stranger.ca)),
        "the certificate of AT is signed by no authority in ssl_ca_location",
    ),
    "host name": (
        lambda k, _: replace(by_password(k), bootstrap=k.bootstrap.replace("127.0.0.1", "127.1")),
        "the certificate of AT is for 127.0.0.1, localhost, not for 127.1",
    ),
    "plain text": (
        lambda k, _: Connection(k.bootstrap),
        "AT speaks TLS, but security_protocol is PLAINTEXT: set it to SSL (or SASL_SSL",
    ),
    "no login": (
        lambda k, _: changed(by_password(k), protocol=SecurityProtocol.SSL, login=None),
        "at the first request without a login: set security_protocol = SASL_SSL",
    ),
    "login by certificate": (
        lambda k, _: replace(
            changed(
                by_certificate(k),
                protocol=SecurityProtocol.SASL_SSL,
                login=by_password(k).security.login,
            )
        ),
        "AT takes no login: set security_protocol = SSL",
    ),
    "no certificate": (
        lambda k, _: changed(by_certificate(k), tls=Tls(ca=by_certificate(k).security.tls.ca)),
        "AT wants a client certificate, and we show none",
    ),
    "other certificate": (of_stranger, "AT refuses our certificate ssl_certificate_location ="),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_login_is_named_at_once(
    secured: LocalKafka, stranger: Authority, name: str
) -> None:
    make, words = WRONG[name]
    connection = make(secured, stranger)
    with pytest.raises(SecurityError) as caught:
        open_admin(connection, bootstrap_timeout_ms=NEVER_MS)
    assert words in str(caught.value).replace(connection.bootstrap, "AT")


def test_tls_to_a_real_kafka_without_tls_is_named(kafka: LocalKafka) -> None:
    security = Security(SecurityProtocol.SSL)
    with pytest.raises(SecurityError, match="does not speak TLS, but security_protocol is SSL"):
        open_admin(Connection(kafka.bootstrap, security), bootstrap_timeout_ms=NEVER_MS)


def test_a_login_where_none_is_taken_is_named(kafka: LocalKafka) -> None:
    plain = Security(SecurityProtocol.SASL_PLAINTEXT, login=login(SaslMechanism.PLAIN, "worker"))
    with pytest.raises(SecurityError, match="takes no login: set security_protocol = PLAINTEXT"):
        open_admin(Connection(kafka.bootstrap, plain), bootstrap_timeout_ms=NEVER_MS)


def test_a_topic_that_may_not_be_seen_is_named_with_the_user(secured: LocalKafka) -> None:
    camera = secured.connection_for(Role.CAMERA)
    with closing(TopicAdmin(camera, UNSEEN)) as admin, pytest.raises(NotPermittedError) as caught:
        admin.require()
    assert "topic hidden is missing, or User:camera may not see it (DESCRIBE)" in str(caught.value)
    with pytest.raises(NotPermittedError, match="not permit User:camera to DESCRIBE topic hidden"):
        KafkaUplink(camera, topic="hidden")


def test_no_error_shows_a_secret(secured: LocalKafka, stranger: Authority) -> None:
    shown = []
    for make, _ in WRONG.values():
        with pytest.raises(LongtakeError) as caught:
            open_admin(make(secured, stranger), bootstrap_timeout_ms=NEVER_MS)
        shown.append(str(caught.value))
    passwords = {secured.protection.folder.password(role) for role in Role}
    words = " ".join(shown)
    assert not any(_text(password) in words for password in passwords)


def _text(password: object) -> str:
    return password.read() if isinstance(password, Secret) else str(password)
