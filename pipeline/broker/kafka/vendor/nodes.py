"""Counts the brokers of a cluster that accept connections, before any topic exists."""

import socket

from kafka.errors import KafkaError

from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError, SecurityError


def nodes_serving(connection: Connection, timeout_s: float) -> int:
    """Count the brokers that the cluster lists and that accept us; 0 if none does."""
    timeout_ms = max(1, round(timeout_s * 1e3))
    try:
        admin = open_admin(
            connection,
            client_id="longtake-nodes",
            bootstrap_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
        )
    except (BrokerUnavailableError, SecurityError):
        return 0
    try:
        brokers = admin.describe_cluster()["brokers"]
    except (KafkaError, OSError):
        return 0
    finally:
        admin.close()
    return sum(_connects(broker["host"], broker["port"], timeout_s) for broker in brokers)


def _connects(host: str, port: int, timeout_s: float) -> bool:
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError:
        return False
    return True
