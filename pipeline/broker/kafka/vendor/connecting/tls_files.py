"""Checks files and secrets before anything is sent: a wrong one is named with its setting."""

import ssl
import stat
from pathlib import Path

from pipeline.connection import Security, Tls
from pipeline.errors import ConfigError
from pipeline.secrets import Secret

MAX_FILE_BYTES = 16 << 20  # a bundle of all public authorities has a quarter of a megabyte


class _NoPasswordError(Exception):
    """The key is encrypted, and no password is set."""


def check_login(security: Security) -> None:
    """Raise `ConfigError`, which names the setting, for a file or secret that cannot be used."""
    if security.protocol.has_tls:
        _check_files(security.tls)
    login = security.login
    if not security.protocol.has_login or login is None:
        return
    if login.password is not None:
        _read("sasl_password", login.password)
    if login.oauth is not None:
        _read("sasl_oauthbearer_client_secret", login.oauth.client_secret)
        if login.oauth.ca is not None:
            _check_authorities("sasl_oauthbearer_ca_location", login.oauth.ca)


def _read(setting: str, secret: Secret) -> None:
    try:
        secret.read()
    except ConfigError as exc:
        raise ConfigError(f"{setting}: {exc}") from None


def _check_files(tls: Tls) -> None:
    if tls.ca is not None:
        _check_authorities("ssl_ca_location", tls.ca)
    if tls.certificate is not None:
        _require_readable("ssl_certificate_location", tls.certificate)
        if tls.key is not None:
            _require_readable("ssl_key_location", tls.key)
        if tls.key_password is not None:
            _read("ssl_key_password", tls.key_password)
        _check_own(tls.certificate, tls)


def _check_authorities(setting: str, ca: Path) -> None:
    """Raise `ConfigError` if a file holds no certificates of authorities."""
    _require_readable(setting, ca)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca)
    except (ssl.SSLError, OSError):
        raise ConfigError(
            f"{setting} = {ca} holds no certificates: wanted PEM, '-----BEGIN CERTIFICATE-----'"
        ) from None


def key_password(tls: Tls) -> str:
    """Return the password of the key. Without one OpenSSL would ask at the terminal, and wait."""
    if tls.key_password is None:
        raise _NoPasswordError
    return tls.key_password.read()


def _check_own(certificate: Path, tls: Tls) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    key = certificate if tls.key is None else tls.key
    setting = "ssl_certificate_location" if tls.key is None else "ssl_key_location"
    try:
        context.load_cert_chain(certificate, tls.key, lambda: key_password(tls))
    except _NoPasswordError:
        raise ConfigError(f"{setting} = {key} is encrypted: set ssl_key_password") from None
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{setting} = {key} is not the key of the certificate"
                f" ssl_certificate_location = {certificate}"
            ) from None
        raise ConfigError(_unusable(certificate, key, setting, tls)) from None


def _unusable(certificate: Path, key: Path, setting: str, tls: Tls) -> str:
    """Say which of the two files is the wrong one: OpenSSL does not."""
    try:
        ssl.PEM_cert_to_DER_cert(_certificate_in(certificate.read_text("ascii")))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=certificate)
    except (ValueError, OSError):
        return (
            f"ssl_certificate_location = {certificate} holds no certificate: wanted PEM,"
            " '-----BEGIN CERTIFICATE-----'"
        )
    if tls.key_password is not None:
        return f"{setting} = {key} is no key in PEM, or ssl_key_password is not its password"
    return f"{setting} = {key} holds no key: wanted PEM, '-----BEGIN PRIVATE KEY-----'"


def _certificate_in(text: str) -> str:
    """Return the first certificate of a PEM file; raises `ValueError` if there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = text.index(begin)
    return text[start : text.index(end, start) + len(end)]


def _require_readable(setting: str, file: Path) -> None:
    """Raise `ConfigError` unless this is a file that can be read; a FIFO would block."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{setting} = {file} is not a regular file")
        if found.st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{setting} = {file} has more than {MAX_FILE_BYTES} bytes")
        with file.open("rb") as opened:
            opened.read(1)
    except (OSError, ValueError) as exc:  # ValueError: the name contains a NUL
        why = getattr(exc, "strerror", None) or "it is no path"
        raise ConfigError(f"{setting} = {file} cannot be read: {why}") from None
