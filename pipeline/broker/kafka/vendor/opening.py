"""Opens the vendor's clients with their shared settings, and stops the threads of one that fails.

K16: the constructor of a client that reaches no broker raises, and the thread that it started goes
on connecting until the process ends.
K17: a client requests metadata every 100 ms at most, regardless of `retry_backoff_ms`, so each new
client sleeps 0.1 s before it knows its first topic: 0.5 s of every restart.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from pipeline.broker.kafka.vendor import logins, parsing
from pipeline.broker.kafka.vendor.border import (
    FETCH_BYTES,
    METADATA_MS,
    PARTITION_FETCH_BYTES,
    RECONNECT_MS,
    REQUEST_BYTES,
    REQUEST_MS,
    RETRY_MS,
)
from pipeline.broker.kafka.vendor.connecting.failures import Refusal
from pipeline.broker.kafka.vendor.connecting.tls_files import check_login
from pipeline.broker.kafka.vendor.connecting.watching import trouble_of, watched_client
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, BrokerUnreachableError, LongtakeError

Client = TypeVar("Client")

LEADERS_MS = 1000
"""K15: a client that requests ends from a broker which is no longer the leader repeats the request
there, without a pause and without looking for the new leader, until its metadata is refreshed
because of its age: 300 s by default."""


def open_consumer(connection: Connection, **settings: Any) -> KafkaConsumer:
    """Return a consumer that never commits by itself; it has no group unless `settings` name one.

    By default it reads committed records only, from the start if it has no position.
    """
    parsing.install()
    ours: dict[str, Any] = {
        "group_id": None,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "fetch_max_bytes": FETCH_BYTES,
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES,
        "fetch_max_wait_ms": 50,
        "metadata_max_age_ms": LEADERS_MS,
        "retry_backoff_ms": RETRY_MS,
    }
    return _opened(KafkaConsumer, connection, ours | settings)


def open_producer(connection: Connection, **settings: Any) -> KafkaProducer:
    """Return a producer whose records are acknowledged by all in-sync replicas."""
    ours: dict[str, Any] = {
        "acks": "all",
        "batch_size": 1 << 20,  # video: with the default of 16 KiB a batch holds one frame
        "max_request_size": REQUEST_BYTES,
        "metadata_max_age_ms": METADATA_MS,
    }
    return _opened(KafkaProducer, connection, ours | settings)


def open_admin(connection: Connection, **settings: Any) -> KafkaAdminClient:
    """Return a client that administers topics and groups."""
    return _opened(KafkaAdminClient, connection, {"retry_backoff_ms": RETRY_MS} | settings)


def _opened(
    kind: Callable[..., Client], connection: Connection, settings: dict[str, Any]
) -> Client:
    """Return an opened client that reaches one of the cluster's brokers.

    Raises `BrokerUnavailableError` if none answers in time; `SecurityError` and `ConfigError` at
    once for what another attempt cannot change.
    """
    check_login(connection.security)
    clients: list[KafkaNetClient] = []

    def connect(**config: Any) -> KafkaNetClient:
        client = watched_client(connection.security, **config)
        clients.append(client)
        cluster = client._manager.cluster  # noqa: SLF001 - K17
        cluster.config["retry_backoff_ms"] = config["retry_backoff_ms"]
        return client

    logins.install()
    ours: dict[str, Any] = {
        "reconnect_backoff_max_ms": RECONNECT_MS,
        "request_timeout_ms": REQUEST_MS,
    }
    ours |= logins.vendor_settings(connection.security)
    try:
        return kind(
            bootstrap_servers=list(connection.servers), kafka_client=connect, **(ours | settings)
        )
    except BaseException as exc:
        for client in clients:
            client.close()
        if isinstance(exc, KafkaError | OSError | BrokerUnreachableError):
            why = next((found for one in clients if (found := trouble_of(one)) is not None), None)
            raise _unreached(connection, exc, why) from exc
        raise


def _unreached(connection: Connection, exc: BaseException, why: Refusal | None) -> LongtakeError:
    """Say why no broker was reached, as well as it is known."""
    if isinstance(exc, BrokerUnreachableError):
        return BrokerUnavailableError(str(exc))
    if why is not None and not why.heals:
        return why.error
    text = str(exc) if why is None else why.text.removeprefix(f"{connection.shown}: ")
    hint = (
        ""
        if text.endswith("?")
        else ". Is it running? `longtake broker` starts one on this machine; --bootstrap names"
        " another; `longtake run` needs none"
    )
    return BrokerUnavailableError(f"no Kafka answers at {connection.shown}: {text}{hint}")
