"""Connects once more, beside the vendor's client, to ask what its failure does not say.

Each question takes at most `ASK_S`, and is asked only while a client is opened.
"""

import socket
import ssl
import struct
from contextlib import suppress

from pipeline.connection import Tls

ASK_S = 1.0

_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 7, -1)  # length, key, version, number, no name


def names_in_certificate(host: str, port: int, tls: Tls) -> tuple[str, ...]:
    """Return the names for which a server's certificate is valid; empty if it cannot be had.

    The certificate is verified; only its name is not compared. Nothing is sent over the connection.
    """
    context = ssl.create_default_context(cafile=None if tls.ca is None else str(tls.ca))
    context.check_hostname = False
    found: tuple[str, ...] = ()
    with (
        suppress(OSError, ValueError),
        socket.create_connection((host, port), ASK_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as connected,
    ):
        certificate = connected.getpeercert() or {}
        found = tuple(str(one[1]) for one in certificate.get("subjectAltName", ()))
    return found


def speaks_kafka_without_tls(host: str, port: int) -> bool:
    """Return whether a server answers Kafka's first request without encryption."""
    with suppress(OSError), socket.create_connection((host, port), ASK_S) as connected:
        connected.sendall(_API_VERSIONS)
        answer = connected.recv(8)
        return len(answer) == 8 and answer[4:] == _API_VERSIONS[8:12]
    return False
