"""Every way to log in to a secured local Kafka, and what a wrong login gets."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.broker.kafka.privileges import Role
from pipeline.broker.kafka.vendor.nodes import nodes_serving
from pipeline.connection import Connection, Login, OAuth, SaslMechanism, Security, SecurityProtocol
from pipeline.local.cluster import LocalKafka
from pipeline.local.secure.secure_folder import SecureFolder
from pipeline.secrets import Secret
from tests.token_issuer import TokenIssuer

pytestmark = pytest.mark.kafka
TIMEOUT_S = 5.0
PASSWORDS = (SaslMechanism.PLAIN, SaslMechanism.SCRAM_SHA_256, SaslMechanism.SCRAM_SHA_512)


def with_login(secured: LocalKafka, login: Login) -> Connection:
    connection = secured.connection_for(Role.CAMERA)
    tls = connection.security.tls
    return Connection(connection.bootstrap, Security(SecurityProtocol.SASL_SSL, tls, login))


@pytest.mark.parametrize("mechanism", PASSWORDS)
@pytest.mark.parametrize("role", Role)
def test_every_role_logs_in_by_every_mechanism(
    secured: LocalKafka, role: Role, mechanism: SaslMechanism
) -> None:
    assert nodes_serving(secured.connection_for(role, mechanism), TIMEOUT_S) == 1


@pytest.mark.parametrize("role", Role)
def test_every_role_is_known_by_its_certificate(secured: LocalKafka, role: Role) -> None:
    assert nodes_serving(secured.protection.by_certificate(role), TIMEOUT_S) == 1


@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_the_password_of_another_role_is_refused(
    secured: LocalKafka, mechanism: SaslMechanism
) -> None:
    other = secured.connection_for(Role.OPERATOR).security.login
    assert other is not None
    wrong = with_login(secured, Login(mechanism, "camera", other.password))
    assert nodes_serving(wrong, 1) == 0


def by_token(secured: LocalKafka, endpoint: str) -> Connection:
    oauth = OAuth(endpoint, "camera", Secret("client secret"))
    return with_login(secured, Login(SaslMechanism.OAUTHBEARER, oauth=oauth))


def test_a_signed_token_logs_in(secured: LocalKafka, token_issuer: TokenIssuer) -> None:
    with token_issuer.serving("client secret") as endpoint:
        assert nodes_serving(by_token(secured, endpoint), TIMEOUT_S) == 1


@pytest.mark.parametrize("claimed", [{"aud": "another"}, {"exp": 1}])
def test_a_token_for_others_or_of_the_past_is_refused(
    secured: LocalKafka, token_issuer: TokenIssuer, claimed: dict[str, str | int]
) -> None:
    with token_issuer.serving("client secret", **claimed) as endpoint:
        assert nodes_serving(by_token(secured, endpoint), 1) == 0


def test_a_token_that_another_has_signed_is_refused(secured: LocalKafka) -> None:
    with TokenIssuer().serving("client secret") as endpoint:
        assert nodes_serving(by_token(secured, endpoint), 1) == 0


def test_a_certificate_is_wanted_where_clients_show_theirs(secured: LocalKafka) -> None:
    connection = secured.protection.by_certificate(Role.CAMERA)
    tls = replace(connection.security.tls, certificate=None)
    without = Connection(connection.bootstrap, Security(SecurityProtocol.SSL, tls))
    assert nodes_serving(without, 1) == 0


def test_the_certificate_of_a_role_counts_only_from_our_authority(
    secured: LocalKafka, tmp_path: Path
) -> None:
    others = SecureFolder(tmp_path / "others")
    others.close()
    connection = secured.protection.by_certificate(Role.CAMERA)
    tls = replace(connection.security.tls, certificate=others.identity(Role.CAMERA))
    foreign = Connection(connection.bootstrap, Security(SecurityProtocol.SSL, tls))
    assert nodes_serving(foreign, 1) == 0


def test_nobody_comes_in_without_tls(secured: LocalKafka) -> None:
    assert nodes_serving(Connection(secured.bootstrap), 1) == 0
