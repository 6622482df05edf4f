"""How to reach a Kafka: the settings that every client is opened with."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.records import Topics
from pipeline.secrets import Secret

MAX_PORT = 65_535
MORE_TIME_S = 8.0  # that a transaction gets at most, if Kafka is too slow for the usual timeout
STALL_S = 15.0  # how much longer than the longest transaction a reader waits

_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)


class SecurityProtocol(StrEnum):
    """How a client talks to the brokers: encrypted or not, with a login or not."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def has_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL)

    @property
    def has_login(self) -> bool:
        """Whether the client logs in by SASL."""
        return self in (SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL)


class SaslMechanism(StrEnum):
    """How a client logs in (RFC 4616, RFC 5802 and 7677, RFC 7628)."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom a client trusts, and the certificate that it shows. Files are read per connection."""

    ca: Path | None = None  # PEM; None: the certificates that the system trusts
    certificate: Path | None = None  # PEM, the chain behind it; None: the client shows none
    key: Path | None = None  # PEM; None: in the certificate's file
    key_password: Secret | None = None
    checks_host_name: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that have to be there."""
        every = (self.ca, self.certificate, self.key)
        return tuple(file for file in every if file is not None)


@dataclass(frozen=True, slots=True)
class OAuth:
    """Where a client gets its tokens: the client credentials grant of RFC 6749, section 4.4."""

    token_endpoint: str = field(repr=False)  # its path and query may hold a key
    client_id: str
    client_secret: Secret
    scope: str | None = None
    ca: Path | None = None  # PEM, of the endpoint; None: the certificates that the system trusts

    @property
    def server(self) -> str:
        """The endpoint's scheme, host and port: all that messages show of it."""
        parts = urlsplit(self.token_endpoint)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class Login:
    """A login by SASL: user and password, or tokens. Secrets are read per connection."""

    mechanism: SaslMechanism
    username: str | None = None
    password: Secret | None = None
    oauth: OAuth | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """How the connections are protected; `tls` counts where the protocol has TLS."""

    protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    tls: Tls = Tls()
    login: Login | None = None

    @property
    def user(self) -> str:
        """Who we are for the brokers, as far as a client can know."""
        if self.protocol.has_login and self.login is not None:
            if self.login.oauth is not None:
                return f"the user of client {self.login.oauth.client_id}"
            return f"User:{self.login.username}"
        if self.protocol.has_tls and self.tls.certificate is not None:
            return f"the user of certificate {self.tls.certificate}"
        return "User:ANONYMOUS"


@dataclass(frozen=True, slots=True)
class Connection:
    """The servers of one cluster. Raises `ValueError` if they are not a list of host:port.

    Only `pipeline.broker.kafka.vendor.opening` turns this into the settings of a client.
    """

    bootstrap: str  # "host:port", or several of them, comma separated
    security: Security = Security()

    def __post_init__(self) -> None:
        """Check each server."""
        for server in self.servers:
            found = _SERVER.fullmatch(server)
            if found is None or not 0 < int(found[1]) <= MAX_PORT:
                which = "one with a login" if "@" in server else repr(server)
                raise ValueError(
                    "wanted host:port, or several of them, comma separated, such as"
                    f" 127.0.0.1:9092; {which} is none"
                )

    @property
    def servers(self) -> tuple[str, ...]:
        """Each host:port."""
        return tuple(server.strip() for server in self.bootstrap.split(","))

    @property
    def shown(self) -> str:
        """The servers, as messages and logs show them."""
        return ",".join(self.servers)


RESET_SLOT = "reset"  # `longtake reset` commits under it, so no worker may have it


def transactional_id(group: str, slot: str) -> str:
    """Return the name of a slot's transactional producer; no two slots of any groups share one.

    Both names may hold dots: group `a`, slot `b.c` and group `a.b`, slot `c` would share `a.b.c`.
    So the slot's dots are written as slashes, which neither name may hold.
    """
    return f"{transactional_prefix(group)}{slot.replace('.', '/')}"


def transactional_prefix(group: str) -> str:
    """Return how the transactional ids of all slots of a group begin."""
    return f"{group}."


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """One group of workers: the settings that its Kafka clients need. Times in seconds."""

    connection: Connection
    topics: Topics
    group: str
    slot: str | None  # the static name of a member; None for a dynamic one
    session_timeout_s: float
    heartbeat_s: float
    transaction_timeout_s: float
    leaves_at_stop: bool = True  # whether a static member leaves too
    gather_s: float = 0.0  # how long a broker may gather frames that come all the time

    @property
    def stall_s(self) -> float:
        """How long a reader waits for an open transaction before it gives up."""
        return self.longest_transaction_s + STALL_S

    @property
    def longest_transaction_s(self) -> float:
        """The transaction timeout at which no more time is given."""
        return self.transaction_timeout_s + MORE_TIME_S
