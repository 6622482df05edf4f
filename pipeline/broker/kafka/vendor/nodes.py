"""Does a Kafka serve? The only place that asks before the first topic exists."""

import socket

from kafka.errors import KafkaError

from pipeline.broker.kafka.vendor.opening import open_admin


def nodes_serving(bootstrap: str, timeout_s: float) -> int:
    """How many brokers the cluster at `bootstrap` lists and lets us connect to; 0 if none answers.

    `bootstrap` is "host:port" or several of them, comma separated. Raises nothing of its own.
    """
    timeout_ms = max(1, round(timeout_s * 1e3))
    try:
        admin = open_admin(
            bootstrap,
            client_id="longtake-probe",
            bootstrap_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
        )
    except (KafkaError, OSError):
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
