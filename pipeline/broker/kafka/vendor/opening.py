"""Opens the vendor's clients: the settings they share, and no thread left behind by one that fails.

K16: a client that reaches no broker raises from its constructor, and the thread that it started
goes on connecting for as long as the process lives.
K17: a client asks for metadata every 100 ms at most, whatever `retry_backoff_ms` says, so each new
one sleeps a tenth of a second before it knows its first topic: half a second of every restart.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.net.compat import KafkaNetClient

from pipeline.broker.kafka.vendor import parsing
from pipeline.broker.kafka.vendor.border import (
    FETCH_BYTES,
    METADATA_MS,
    PARTITION_FETCH_BYTES,
    RECONNECT_MS,
    REQUEST_BYTES,
    REQUEST_MS,
    RETRY_MS,
)
from pipeline.connection import Connection

Client = TypeVar("Client")

LEADERS_MS = 1000
"""K15: a client that asks for ends and meets a leader of the past asks him again, without a pause
and without looking for the new one, until its metadata is renewed for its age: 300 s by default."""


def open_consumer(connection: Connection, **settings: Any) -> KafkaConsumer:
    """A consumer that never commits by itself; without a group unless `settings` name one.

    Reads what is committed, from the start where it has no position, unless told otherwise.
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
    """A producer for frames, states and predictions, each acknowledged by all replicas."""
    ours: dict[str, Any] = {
        "acks": "all",
        "batch_size": 1 << 20,  # video: with the default of 16 KiB a batch holds one frame
        "max_request_size": REQUEST_BYTES,
        "metadata_max_age_ms": METADATA_MS,
    }
    return _opened(KafkaProducer, connection, ours | settings)


def open_admin(connection: Connection, **settings: Any) -> KafkaAdminClient:
    """A client for topics and groups."""
    return _opened(KafkaAdminClient, connection, {"retry_backoff_ms": RETRY_MS} | settings)


def _opened(
    kind: Callable[..., Client], connection: Connection, settings: dict[str, Any]
) -> Client:
    clients: list[KafkaNetClient] = []

    def connect(**config: Any) -> KafkaNetClient:
        client = KafkaNetClient(**config)
        clients.append(client)
        cluster = client._manager.cluster  # type: ignore[attr-defined]  # noqa: SLF001 - K17
        cluster.config["retry_backoff_ms"] = config["retry_backoff_ms"]
        return client

    ours = {"reconnect_backoff_max_ms": RECONNECT_MS, "request_timeout_ms": REQUEST_MS}
    try:
        return kind(
            bootstrap_servers=list(connection.servers), kafka_client=connect, **(ours | settings)
        )
    except BaseException:
        for client in clients:
            client.close()
        raise
