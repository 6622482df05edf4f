"""Shared by all our clients: settings, and the translation of the vendor's errors and records."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    CommitFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    InvalidProducerEpochError,
    InvalidSessionTimeoutError,
    InvalidTimestampError,
    InvalidTransactionTimeoutError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from pipeline.connection import Connection, Security
from pipeline.errors import (
    BrokerUnavailableError,
    BrokerUnreachableError,
    CommitRefusedError,
    ConfigError,
    DependencyError,
    FencedError,
    NotPermittedError,
    TopicError,
)
from pipeline.records import Record

FETCH_BYTES = 16 << 20
PARTITION_FETCH_BYTES = 8 << 20
REQUEST_BYTES = 9 << 20  # one frame of the largest accepted size, and its headers

RECONNECT_MS = 500  # at most; the default of 30 s is longer than any broker's restart
REQUEST_MS = 5000
RETRY_MS = 20
ENDS_MS = 10_000  # for looking up ends; without a limit the client may retry for ever (K15)
METADATA_MS = 30_000
CLOCK_WAY_OUT = (
    "the broker refuses the time of our records: set this machine's clock (NTP), or the topic's"
    " message.timestamp.type to LogAppendTime"
)

_HIDDEN = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
"""K33: a producer hides some refusals in the text of a plain `KafkaError`: one of the offsets of a
transaction, one of the first producer id, and one that came before the next `send`. Taken for an
unavailable broker, they were tried again for ever, without a word."""


@contextmanager
def translated(doing: str, connection: Connection, *, needs: str = "READ") -> Iterator[None]:
    """Turn the vendor's errors into ours. The class of ours says how to react.

    `needs`: the operation, in Kafka's words, that must be permitted on the topics.
    """
    try:
        yield
    except CommitFailedError as exc:
        raise CommitRefusedError(f"{doing}: {exc}") from exc
    except FencedInstanceIdError as exc:
        raise FencedError(f"{doing}: another process has taken our --slot over") from exc
    except (ProducerFencedError, InvalidProducerEpochError) as exc:
        raise FencedError(f"{doing}: {exc}") from exc
    except AuthorizationError as exc:
        raise NotPermittedError(f"{doing}: {_lacking(exc, connection, needs)}") from exc
    except MessageSizeTooLargeError as exc:
        raise TopicError(f"{doing}: {exc}; raise the topic's max.message.bytes") from exc
    except RecordListTooLargeError as exc:
        raise TopicError(f"{doing}: {exc}; raise the topic's segment.bytes") from exc
    except InvalidTransactionTimeoutError as exc:
        raise ConfigError(
            f"{doing}: transaction_timeout_s is above the broker's transaction.max.timeout.ms"
        ) from exc
    except InvalidSessionTimeoutError as exc:
        raise ConfigError(
            f"{doing}: session_timeout_s is not within the broker's group.min.session.timeout.ms"
            " and group.max.session.timeout.ms"
        ) from exc
    except InvalidTimestampError as exc:
        raise BrokerUnavailableError(f"{doing}: {exc!r}; {CLOCK_WAY_OUT}") from exc
    except UnknownTopicOrPartitionError as exc:
        raise TopicError(f"{doing}: {exc}; see `longtake topics check`") from exc
    except KafkaError as exc:
        hidden = next((kind for kind in _HIDDEN if kind.__name__ in repr(exc)), None)
        if hidden is not None:
            raise NotPermittedError(f"{doing}: {_lacking(hidden(), connection, needs)}") from exc
        raise BrokerUnavailableError(f"{doing}: {exc!r}") from exc


@contextmanager
def at_start() -> Iterator[None]:
    """Let a broker that cannot be reached end a command: nothing is left that would try again."""
    try:
        yield
    except BrokerUnavailableError as exc:
        raise BrokerUnreachableError(str(exc)) from exc


def missing(topic: str, connection: Connection) -> str:
    """Say that a topic is missing. Kafka hides a topic from users who may not describe it."""
    hidden = f", or {connection.security.user} may not see it (DESCRIBE)"
    secured = connection.security != Security()
    return f"topic {topic} is missing{hidden if secured else ''}; `longtake topics create` makes it"


def _lacking(exc: AuthorizationError, connection: Connection, needs: str) -> str:
    """Name the user, the operation and the resource that are not permitted."""
    named = exc.args[0] if exc.args else ""
    names = ", ".join(sorted(map(str, named))) if isinstance(named, set | frozenset) else str(named)
    match exc:
        case TopicAuthorizationFailedError():
            what = f"{needs} topic {names}"
        case GroupAuthorizationFailedError():
            what = f"READ the group {names}"
        case TransactionalIdAuthorizationFailedError():
            what = f"WRITE its transactional id {names}"
        case ClusterAuthorizationFailedError():
            what = "WRITE to any topic as an idempotent producer (or IDEMPOTENT_WRITE the cluster)"
        case _:
            what = str(exc)
    return f"the broker does not permit {connection.security.user} to {what.rstrip()}"


class RefusedValue(bytes):
    """The empty value of a record that could not be read from its batch; `error` says why."""

    error: str

    def __new__(cls, error: str) -> "RefusedValue":
        """Make one. Only our code does: values that a producer wrote are plain bytes."""
        made = super().__new__(cls)
        made.error = error
        return made


def as_record(raw: Any) -> Record:
    """Convert the client's record of any topic. Any program may have written it."""
    headers = tuple((name, value or b"") for name, value in raw.headers)
    when_ms, value = max(0, raw.timestamp), raw.value
    if isinstance(value, RefusedValue):
        return Record(raw.partition, raw.offset, when_ms, None, b"", headers, refused=value.error)
    return Record(raw.partition, raw.offset, when_ms, raw.key, value, headers)


def require_crc32c() -> None:
    """Raise `DependencyError` without the compiled checksum: in Python it costs 7 ms a frame."""
    if find_spec("crc32c") is None:
        raise DependencyError(
            "the package crc32c is missing: without it every frame costs milliseconds of"
            " checksum; `pip install crc32c`"
        )
