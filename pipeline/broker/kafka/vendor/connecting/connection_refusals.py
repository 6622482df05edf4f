"""Says why a broker cannot be used: turns what a connection of the vendor's client saw into ours.

The only place with these sentences. A refusal that a person has to mend is a `StopError`; one that
can heal by itself is a `BrokerUnreachableError`, and is tried again.
"""

import errno
import os
import re
import ssl

from kafka.errors import (
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from pipeline.broker.kafka.vendor.connecting.asking import (
    names_in_certificate,
    speaks_kafka_without_tls,
)
from pipeline.broker.kafka.vendor.connecting.failures import (
    ConnectionStage,
    Failure,
    HandshakeFailedError,
    Refusal,
    told,
)
from pipeline.connection import Security, SecurityProtocol
from pipeline.errors import (
    BrokerUnreachableError,
    ConfigError,
    LongtakeError,
    SecurityError,
    StopError,
    TokenError,
)

_NOTHING_IN_COMMON = "no version or cipher of TLS in common; this client speaks TLS 1.2 and 1.3"


_TLS_ALERT = 0x15  # the first byte where a server with TLS answers a client without
_EXPIRED, _NOT_YET = 10, 9  # X509_V_ERR_* of OpenSSL
_UNTRUSTED = (2, 18, 19, 20, 21)
_OTHER_NAME = (62, 64)
_WITHOUT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "UNKNOWN_PROTOCOL",
)
_VERSIONS = (
    "UNSUPPORTED_PROTOCOL",
    "PROTOCOL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "NO_SHARED_CIPHER",
)


def explain(failure: Failure, security: Security, *, asks: bool) -> Refusal:
    """Return why a connection failed.

    `asks`: whether to connect once more, for at most a second, where that shows the cause.
    """
    error = _innermost(failure.error)
    found = _of_ours(error, failure) or _of_login(error, failure, security)
    if found is None and isinstance(error, ssl.SSLError):
        found = _of_tls(error, failure, security, asks=asks)
    if found is None and isinstance(error, InvalidReceiveError):
        found = _of_garbage(error, failure, security)
    return found or _of_network(error, failure, security, asks=asks)


def _innermost(error: BaseException) -> BaseException:
    """Return what the vendor's client wrapped: the cause, or the only argument."""
    if isinstance(error, HandshakeFailedError) and error.__cause__ is not None:
        return error.__cause__
    if type(error) is KafkaConnectionError and error.args and isinstance(error.args[0], Exception):
        return error.args[0]
    return error


def _of_ours(error: BaseException, failure: Failure) -> Refusal | None:
    """Secrets, files and tokens are read while a connection is made: their errors are ours."""
    if isinstance(error, TokenError):
        return Refusal(f"{failure.at} gets no login: {error}", BrokerUnreachableError)
    if isinstance(error, StopError):
        return Refusal(str(error), type(error))
    return Refusal(str(error), ConfigError) if isinstance(error, LongtakeError) else None


def _of_login(error: BaseException, failure: Failure, security: Security) -> Refusal | None:
    login, at = security.login, failure.at
    if isinstance(error, IllegalSaslStateError):
        return Refusal(
            f"{at} takes no login: set security_protocol ="
            f" {'SSL' if security.protocol.has_tls else 'PLAINTEXT'}, or name in bootstrap the port"
            " of a listener with SASL"
        )
    if login is None:
        return None
    if isinstance(error, UnsupportedSaslMechanismError):
        return Refusal(
            f"{at} has not enabled {login.mechanism}, but"
            f" {', '.join(failure.offered) or 'does not say what'}: set sasl_mechanism to one of"
            " these that this user has"
        )
    if isinstance(error, SaslAuthenticationFailedError):
        said = f"the broker says: {told(str(error.args[0]) if error.args else '')}"
        if login.oauth is not None:
            return Refusal(
                f"{at} refuses the token of client {login.oauth.client_id} ({said}): look at its"
                " audience, scope and issuer, and at the broker's settings of OAUTHBEARER"
            )
        return Refusal(
            f"{at} refuses the login of user {login.username} by {login.mechanism}: wrong"
            f" password, or no such user ({said}). Look at sasl_username and sasl_password"
        )
    if isinstance(error, ValueError) and "signature" in str(error):
        return Refusal(
            f"{at} does not know the password of user {login.username} either: it is not the"
            " broker that it claims to be"
        )
    return None


def _of_tls(
    error: ssl.SSLError, failure: Failure, security: Security, *, asks: bool
) -> Refusal | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, failure, security, asks=asks)
    reason, at = error.reason or "", failure.at
    if reason in _WITHOUT_TLS:
        return _without_tls(failure, security)
    if any(word in reason for word in _VERSIONS):
        return Refusal(f"{at} and this client have {_NOTHING_IN_COMMON} ({reason})")
    if "ALERT" in reason:
        alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
        return _of_alert(alert, failure, security)
    return None


def _of_alert(alert: str, failure: Failure, security: Security) -> Refusal:
    """Explain the alert that a server sends; in TLS 1.3 it comes after the handshake."""
    ours = security.tls.certificate
    unclear = alert == "handshake failure"  # in TLS 1.2 this one is sent for either
    if ours is None:
        other = f", or it and this client have {_NOTHING_IN_COMMON}" if unclear else ""
        return Refusal(
            f"{failure.at} wants a client certificate, and we show none ({alert}){other}: set"
            " ssl_certificate_location and ssl_key_location, or use a listener that wants none"
        )
    if unclear:
        return Refusal(f"{failure.at} and this client have {_NOTHING_IN_COMMON} ({alert})")
    return Refusal(
        f"{failure.at} refuses our certificate ssl_certificate_location = {ours} ({alert}): it is"
        " expired, or of an authority that the broker does not trust. `openssl x509 -in"
        f" {ours} -noout -dates -issuer` shows both"
    )


def _of_certificate(
    error: ssl.SSLCertVerificationError, failure: Failure, security: Security, *, asks: bool
) -> Refusal:
    at, code, why = failure.at, error.verify_code, error.verify_message
    if code in _OTHER_NAME:
        names = names_in_certificate(failure.host, failure.port, security.tls) if asks else ()
        holds = f"is for {told(', '.join(names))}, not" if names else "is not"
        return Refusal(
            f"the certificate of {at} {holds} for {failure.host}: write a name that it has into"
            " bootstrap (and the broker's advertised.listeners), or add this name to it"
        )
    if code == _EXPIRED:
        return Refusal(
            f"the certificate of {at}, or that of its authority, has expired: renew it on the"
            " broker; is the clock of this machine right?"
        )
    if code == _NOT_YET:
        return Refusal(
            f"the certificate of {at}, or that of its authority, is not valid yet: is the clock of"
            " this machine right?"
        )
    if code in _UNTRUSTED:
        ca = security.tls.ca
        trusted = (
            "no authority that this system trusts (set ssl_ca_location to the PEM file of the"
            " broker's authority)"
            if ca is None
            else f"no authority in ssl_ca_location = {ca}"
        )
        return Refusal(f"the certificate of {at} is signed by {trusted}: {why}")
    return Refusal(f"the certificate of {at} cannot be verified: {why}")


def _without_tls(failure: Failure, security: Security) -> Refusal:
    plain = SecurityProtocol.SASL_PLAINTEXT if security.protocol.has_login else "PLAINTEXT"
    return Refusal(
        f"{failure.at} does not speak TLS, but security_protocol is {security.protocol}: name in"
        f" bootstrap the port of its TLS listener; {plain} would send everything unencrypted"
    )


def _of_garbage(error: InvalidReceiveError, failure: Failure, security: Security) -> Refusal:
    """Explain an answer that begins with an absurd length: these bytes are another protocol's."""
    found = re.search(r"-?\d+", str(error))
    begins = (int(found[0]) & 0xFFFFFFFF).to_bytes(4) if found else b""
    if begins[:2] == bytes((_TLS_ALERT, 3)):
        wanted = "SASL_SSL" if security.protocol.has_login else "SSL (or SASL_SSL with a login)"
        return Refusal(
            f"{failure.at} speaks TLS, but security_protocol is {security.protocol}: set it to"
            f" {wanted}"
        )
    if begins.isascii() and begins.decode("ascii").isprintable():
        what = "HTTP" if begins == b"HTTP" else "text"
        return Refusal(
            f"{failure.at} is no Kafka: it answers in {what} ({begins.decode()!r}). Look at"
            " bootstrap"
        )
    return Refusal(f"{failure.at} is no Kafka: its answer is none of Kafka's. Look at bootstrap")


def _of_network(
    error: BaseException, failure: Failure, security: Security, *, asks: bool
) -> Refusal:
    at = failure.at
    if isinstance(error, UnicodeError):
        return Refusal(f"{failure.host!r} in bootstrap is no host name", ConfigError)
    if failure.stage is ConnectionStage.CONNECTING:
        return Refusal(f"{at}: {_why_not_connected(error)}", BrokerUnreachableError)
    if isinstance(error, KafkaTimeoutError | RequestTimedOutError):
        return Refusal(
            f"{at}: the port accepts the connection, but does not answer: is it a Kafka, and is"
            f" security_protocol = {security.protocol} right?",
            BrokerUnreachableError,
        )
    in_handshake = failure.stage is ConnectionStage.HANDSHAKE
    if in_handshake and asks and speaks_kafka_without_tls(failure.host, failure.port):
        return _without_tls(failure, security)
    return Refusal(
        f"{at}: the broker closes the connection {_when_closed(failure, security)}", _fate(failure)
    )


def _fate(failure: Failure) -> type[StopError]:
    """A broker that answers our greeting and then closes wants a login; others may be starting."""
    return SecurityError if failure.stage is ConnectionStage.UNSERVED else BrokerUnreachableError


def _when_closed(failure: Failure, security: Security) -> str:
    if failure.stage is ConnectionStage.HANDSHAKE:
        return (
            "in the TLS handshake: is this the port of a TLS listener, and is the broker running?"
        )
    if failure.stage is ConnectionStage.UNSERVED and not security.protocol.has_login:
        with_login = "SASL_SSL" if security.protocol.has_tls else "SASL_PLAINTEXT or SASL_SSL"
        return (
            f"at the first request without a login: set security_protocol = {with_login} with"
            f" sasl_mechanism and a user ({security.protocol} has none)"
        )
    if failure.stage is ConnectionStage.GREETING and security.protocol.has_tls:
        ours = security.tls.certificate
        wants = (
            "wants a client certificate (ssl_certificate_location)"
            if ours is None
            else f"does not accept our certificate {ours}"
        )
        return f"behind the TLS handshake: perhaps it {wants}, or it is no Kafka"
    if failure.stage is ConnectionStage.GREETING:
        return (
            f"without an answer: is it a Kafka, and is security_protocol = {security.protocol}"
            " right (a port with TLS closes such a connection)?"
        )
    return "again and again; its log says why"


def _why_not_connected(error: BaseException) -> str:
    said = str(error.args[0]) if error.args else ""
    if said == "DNS Resolution failure":
        return "this name does not resolve"
    number = re.match(r"\d+", said.removeprefix("unable to connect: [Errno "))
    if number is not None and int(number[0]) in errno.errorcode:
        refused = int(number[0]) == errno.ECONNREFUSED
        return (
            "nobody listens there (connection refused)" if refused else os.strerror(int(number[0]))
        )
    if said == "Connection timed out":
        return "no answer to the attempt to connect: a firewall, or a wrong address"
    return told(said or repr(error))
