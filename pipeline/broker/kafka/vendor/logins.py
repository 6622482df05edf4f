"""Logs the vendor's clients in, with secrets that are read anew for each connection.

K25: the vendor's clients take a password as text, once, when they are made. A rotated password
would need a restart, and the text would stand in the client's settings. So our mechanisms take the
place of the vendor's, and read a `Secret` when a connection logs in or renews its login (KIP-368).
K26: the vendor's SCRAM sends a name with `,` or `=` unescaped (RFC 5802, section 5.1).
"""

from functools import partial
from typing import Any

from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.net.sasl.plain import SaslMechanismPlain
from kafka.net.sasl.scram import SaslMechanismScram

from pipeline.broker.kafka.vendor.connecting.tls_files import key_password
from pipeline.broker.kafka.vendor.tokens import TokenSource
from pipeline.connection import Login, SaslMechanism, Security, Tls

PASSWORD = "sasl_plain_password"  # noqa: S105 - the name of the vendor's setting
USER = "sasl_plain_username"


class PlainLogin(SaslMechanismPlain):
    """The vendor's PLAIN, with a `Secret` as its password."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config | {PASSWORD: config[PASSWORD].read()})


class ScramLogin(SaslMechanismScram):
    """The vendor's SCRAM, with a `Secret` as its password and an escaped name."""

    def __init__(self, **config: Any) -> None:
        name = config[USER].replace("=", "=3D").replace(",", "=2C")
        super().__init__(**config | {PASSWORD: config[PASSWORD].read(), USER: name})


class Tokens(AbstractTokenProvider):
    """The vendor's name for a source of tokens."""

    def __init__(self, source: TokenSource) -> None:
        super().__init__()
        self._source = source

    def token(self) -> str:
        """Return a token that is valid now: see `TokenSource`."""
        return self._source.token()


def install() -> None:
    """Let the vendor's clients log in by our mechanisms."""
    register_sasl_mechanism(SaslMechanism.PLAIN.value, PlainLogin, overwrite=True)
    for scram in (SaslMechanism.SCRAM_SHA_256, SaslMechanism.SCRAM_SHA_512):
        register_sasl_mechanism(scram.value, ScramLogin, overwrite=True)


def vendor_settings(security: Security) -> dict[str, Any]:
    """Return the settings of a vendor's client for `security`."""
    settings: dict[str, Any] = {"security_protocol": security.protocol.value}
    if security.protocol.has_tls:
        settings |= _of_tls(security.tls)
    if security.protocol.has_login and security.login is not None:
        settings |= _of_login(security.login)
    return settings


def _of_tls(tls: Tls) -> dict[str, Any]:
    """Name the files. The vendor reads them for each connection, so that they can be replaced."""
    return {
        "ssl_cafile": _text(tls.ca),
        "ssl_certfile": _text(tls.certificate),
        "ssl_keyfile": _text(tls.key),
        "ssl_password": partial(key_password, tls),
        "ssl_check_hostname": tls.checks_host_name,
    }


def _of_login(login: Login) -> dict[str, Any]:
    settings: dict[str, Any] = {"sasl_mechanism": login.mechanism.value}
    if login.oauth is not None:
        return settings | {"sasl_oauth_token_provider": Tokens(TokenSource(login.oauth))}
    return settings | {USER: login.username, PASSWORD: login.password}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
