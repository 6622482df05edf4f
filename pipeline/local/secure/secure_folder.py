"""The folder of a secured local Kafka: certificates, passwords, and what each client needs.

ca.pem                            whom clients trust
ROLE.pem                          key and certificate of a role, for mTLS
ROLE.password                     its password, for SCRAM and PLAIN
ROLE.toml, ROLE-mtls.toml         settings for `--kafka`
cluster/                          what only the cluster uses: the authority's key, the brokers'
                                  certificate, and the administrator's, who may do everything
"""

import datetime as dt
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from pipeline.broker.kafka.privileges import Role
from pipeline.connection import (
    Connection,
    Login,
    SaslMechanism,
    Security,
    SecurityProtocol,
    Tls,
)
from pipeline.errors import LocalKafkaError
from pipeline.local.secure.key_files import claim_folder, read_private, write_private
from pipeline.secrets import Secret

BROKER = "broker"  # the name of the brokers among themselves
ADMINISTRATOR = "admin"
PASSWORD_BYTES = 24
PASSWORD = re.compile(rb"[!#-\[\]-~]{8,256}")
"""What a password may be that a user has put there: it stands in quotes in Kafka's settings."""

Now = Callable[[], dt.datetime]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class SecureFolder:
    """Claims the folder until `close`, and makes what is missing or near its end in it."""

    def __init__(self, path: Path, *, now: Now = _utc_now) -> None:
        self.path = path.expanduser().absolute()
        if "}" in str(self.path) or not str(self.path).isprintable():
            raise LocalKafkaError(
                f"the folder {str(self.path)!r} cannot be used: its path must be printable and"
                " without `}`, because the settings of clients hold it"
            )
        self._lock = claim_folder(self.path)
        try:
            self._cluster.mkdir(mode=0o700, exist_ok=True)
            self._issue(now())
            for role in Role:
                if read_private(self.password_file(role)) is None:
                    fresh = secrets.token_urlsafe(PASSWORD_BYTES)
                    write_private(self.password_file(role), f"{fresh}\n".encode())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process claim the folder."""
        os.close(self._lock)

    @property
    def ca(self) -> Path:
        """The certificate that everyone trusts."""
        return self.path / "ca.pem"

    @property
    def broker_identity(self) -> Path:
        """The brokers' key and certificate."""
        return self._cluster / f"{BROKER}.pem"

    def identity(self, role: Role) -> Path:
        """A role's key and certificate."""
        return self.path / f"{role}.pem"

    def client_file(self, role: Role) -> Path:
        """The settings of a role's clients, for `--kafka`, with its password's place."""
        return self.path / f"{role}.toml"

    def mtls_file(self, role: Role) -> Path:
        """The same with its certificate."""
        return self.path / f"{role}-mtls.toml"

    def password_file(self, role: Role) -> Path:
        """The file of a role's password."""
        return self.path / f"{role}.password"

    def password(self, role: Role) -> str:
        """Return a role's password. Raises LocalKafkaError if it cannot be one."""
        content = read_private(self.password_file(role)) or b""
        password = content.removesuffix(b"\n").removesuffix(b"\r")
        if PASSWORD.fullmatch(password) is None:
            raise LocalKafkaError(
                f"{self.password_file(role)} holds no password: wanted 8 to 256 printable ASCII"
                ' characters without space, " and \\; delete it and it is made anew'
            )
        return password.decode("ascii")

    def administrator(self, bootstrap: str) -> Connection:
        """Return how the administrator, who may do everything, reaches the listener of mTLS."""
        return self._by_certificate(bootstrap, self._cluster / f"{ADMINISTRATOR}.pem")

    def by_certificate(self, role: Role, bootstrap: str) -> Connection:
        """Return how a role reaches the listener of mTLS."""
        return self._by_certificate(bootstrap, self.identity(role))

    def by_password(self, role: Role, bootstrap: str, mechanism: SaslMechanism) -> Connection:
        """Return how a role reaches the listener of SASL."""
        password = Secret(f"${{file:{self.password_file(role)}}}")
        login = Login(mechanism, role.value, password)
        security = Security(SecurityProtocol.SASL_SSL, Tls(ca=self.ca), login)
        return Connection(bootstrap, security)

    def _by_certificate(self, bootstrap: str, identity: Path) -> Connection:
        tls = Tls(ca=self.ca, certificate=identity)
        return Connection(bootstrap, Security(SecurityProtocol.SSL, tls))

    @property
    def _cluster(self) -> Path:
        return self.path / "cluster"

    def _issue(self, now: dt.datetime) -> None:
        try:
            from pipeline.local.secure.made_certificates import Authority
        except ImportError as exc:
            raise LocalKafkaError(
                f"a secured local Kafka needs the package cryptography ({exc}): `pip install"
                " '.[local]'` in longtake's repository"
            ) from exc
        authority = Authority(self._cluster / "ca.pem", now)
        if read_private(self.ca) != authority.certificate_pem:
            write_private(self.ca, authority.certificate_pem)
        authority.require(self.broker_identity, BROKER, serves=True)
        authority.require(self._cluster / f"{ADMINISTRATOR}.pem", ADMINISTRATOR, serves=False)
        for role in Role:
            authority.require(self.identity(role), role.value, serves=False)
