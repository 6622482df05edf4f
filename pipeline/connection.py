"""How to reach a Kafka: the settings that every client is opened with."""

import re
from dataclasses import dataclass

from pipeline.records import Topics

MAX_PORT = 65_535
STALL_S = 15.0  # how much longer than the transaction timeout a reader waits

_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Connection:
    """The servers of one cluster. Raises `ValueError` if they are not a list of host:port.

    Only `pipeline.broker.kafka.vendor.opening` turns this into the settings of a client.
    """

    bootstrap: str  # "host:port", or several of them, comma separated

    def __post_init__(self) -> None:
        """Check each server."""
        for server in self.servers:
            found = _SERVER.fullmatch(server)
            if found is None or not 0 < int(found[1]) <= MAX_PORT:
                raise ValueError(
                    "wanted host:port, or several of them, comma separated, such as"
                    f" 127.0.0.1:9092; {server!r} is none"
                )

    @property
    def servers(self) -> tuple[str, ...]:
        """Each host:port."""
        return tuple(server.strip() for server in self.bootstrap.split(","))

    @property
    def shown(self) -> str:
        """The servers, as messages and logs show them."""
        return ",".join(self.servers)


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

    @property
    def stall_s(self) -> float:
        """How long a reader waits for an open transaction before it gives up."""
        return self.transaction_timeout_s + STALL_S
