"""Logs the vendor's clients in, with secrets that are read anew for each connection.

K25: the vendor's clients take a password as text, once, when they are made. A rotated password
would need a restart, and the text would stand in the client's settings. So our mechanisms take the
place of the vendor's, and read a `Secret` when a connection logs in or renews its login (KIP-368).
K26: the vendor's SCRAM sends a name with `,` or `=` unescaped (RFC 5802, section 5.1).
K36: the vendor's SCRAM does what the server says, be it one iteration: a server that is no broker
could then guess the password from the answer (RFC 7677 wants 4096 at least, as Kafka does).
"""

import re
from functools import partial
from typing import Any

from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.net.sasl.plain import SaslMechanismPlain
from kafka.net.sasl.scram import SaslMechanismScram

from pipeline.broker.kafka.vendor.connecting.tls_files import key_password
from pipeline.broker.kafka.vendor.connecting.tokens import TokenSource
from pipeline.connection import Login, SaslMechanism, Security, Tls
from pipeline.errors import SecurityError

PASSWORD = "sasl_plain_password"  # noqa: S105 - the name of the vendor's setting
USER = "sasl_plain_username"
FEWEST_ITERATIONS = 4096
MOST_ITERATIONS = 1_000_000  # the vendor's limit: half a second
_NO_SCRAM = "the server does not answer a login by SCRAM as a broker does"
_ITERATIONS = re.compile(rb"(?:^|,)i=([^,]*)")


class PlainLogin(SaslMechanismPlain):
    """The vendor's PLAIN, with a `Secret` as its password."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config | {PASSWORD: config[PASSWORD].read()})


class ScramLogin(SaslMechanismScram):
    """The vendor's SCRAM, with a `Secret` as its password and an escaped name."""

    def __init__(self, **config: Any) -> None:
        name = config[USER].replace("=", "=3D").replace(",", "=2C")
        super().__init__(**config | {PASSWORD: config[PASSWORD].read(), USER: name})
        self._asked = False

    def receive(self, auth_bytes: bytes) -> bool:
        """See the vendor's. Raises `SecurityError` for what no broker sends (K36)."""
        if not self._asked:
            self._asked = True
            for found in _ITERATIONS.findall(auth_bytes):
                known = re.fullmatch(rb"[0-9]{1,7}", found)
                if not known or not FEWEST_ITERATIONS <= int(found) <= MOST_ITERATIONS:
                    raise SecurityError(
                        f"{_NO_SCRAM}: {FEWEST_ITERATIONS} to {MOST_ITERATIONS:,} iterations are"
                        " wanted. Look at bootstrap"
                    )
        try:
            done: bool = super().receive(auth_bytes)  # type: ignore[no-untyped-call]
        except (KeyError, ValueError) as exc:
            if "signature" in str(exc):
                raise
            raise SecurityError(f"{_NO_SCRAM}. Look at bootstrap and sasl_mechanism") from None
        return done


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
