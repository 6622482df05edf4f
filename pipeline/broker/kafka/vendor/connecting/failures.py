"""How a connection to a broker failed, and why: the values."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from kafka.errors import KafkaConnectionError

from pipeline.errors import BrokerUnreachableError, SecurityError, StopError

TOLD = 200  # characters of what the other side says, in a message


class ConnectionStage(Enum):
    """How far a connection came before it failed."""

    CONNECTING = auto()
    HANDSHAKE = auto()  # of TLS
    GREETING = auto()  # the first request, which every broker answers, and the login
    UNSERVED = auto()  # the broker answered that, and has answered no request behind it
    SERVED = auto()


class HandshakeFailedError(KafkaConnectionError):
    """The TLS handshake failed; the cause says why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How one connection to `host` failed. `offered` are the broker's mechanisms, if it said."""

    host: str
    port: int
    stage: ConnectionStage
    error: BaseException
    offered: tuple[str, ...] = ()

    @property
    def at(self) -> str:
        """The address, as messages show it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a broker cannot be used. `kind` says what happens next."""

    text: str
    kind: type[StopError] = SecurityError

    @property
    def heals(self) -> bool:
        """Whether the same connection may succeed later though nobody does anything."""
        return self.kind is BrokerUnreachableError

    @property
    def error(self) -> StopError:
        """Return the exception to raise."""
        return self.kind(self.text)


def told(text: Any) -> str:
    """Return foreign text as a message may show it: short, and without control characters."""
    shown = "".join(one if one.isprintable() else "?" for one in str(text))
    return shown if len(shown) <= TOLD else f"{shown[:TOLD]}..."
