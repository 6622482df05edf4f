"""Finds free ports on 127.0.0.1."""

import random
import socket
from collections.abc import Collection
from pathlib import Path

from pipeline.errors import ConfigError, LocalKafkaError, PortTakenError

HOST = "127.0.0.1"
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 15_000
HIGHEST = 65_535


def wanted_ports(first: int, count: int) -> list[int]:
    """Return `count` ports from `first` on; raise PortTakenError for the first that is taken."""
    if not 0 < first <= HIGHEST + 1 - count:
        raise ConfigError(f"port {first}: {count} ports from there on are not all in 1-{HIGHEST}")
    ports = list(range(first, first + count))
    for port in ports:
        if not is_free(port):
            raise PortTakenError(
                f"port {port} on {HOST} is taken by another program; "
                "stop that, or choose another port (0 takes any free one)"
            )
    return ports


def free_ports(count: int, *, besides: Collection[int] = ()) -> list[int]:
    """Return `count` free ports below the range of outgoing connections, none of `besides`.

    A bind to port 0 returns a port from the range of outgoing connections. While a broker with such
    a port is down, a client that retries to connect to it could get the same port as its own, and
    connect to itself. Then the broker could not start again.
    """
    below = _first_outgoing()
    allowed = sorted(set(range(LOWEST, below)) - set(besides))
    candidates = random.SystemRandom().sample(allowed, min(400, len(allowed)))
    free = []
    for port in candidates:
        if is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise LocalKafkaError(f"no {count} free ports between {LOWEST} and {below} on {HOST}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _first_outgoing() -> int:
    try:
        first = int(RANGE.read_text("ascii").split()[0])
    except (OSError, ValueError):
        return 32_768  # not Linux: macOS starts at 49,152
    return first if first >= LOWEST + 1_000 else 32_768
