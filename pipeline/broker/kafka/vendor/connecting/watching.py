"""Watches the connections of the vendor's clients, and ends attempts that cannot succeed.

K27: a client keeps the reason of a failed connection for its log, and tries again whatever the
reason is: a wrong password looks like a broker that is away.
K28: a TLS handshake has no time limit: a silent port holds the client's constructor for ever.
K29: after a refused login it connects again without any pause.
K30: a client that reaches a bootstrap server is made, though it may reach none of the addresses
that the cluster names.
K31: what a server says before it closes the connection is discarded if both arrive together.
K37: a client that is closed in a handshake, or with bytes to send, leaves that socket open.
"""

import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakSet

from kafka.errors import (
    Cancelled,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.inet import create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.metadata import ApiVersionsRequest
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslBytesRequest, SaslHandshakeRequest

from pipeline.broker.kafka.vendor.connecting.connection_refusals import explain
from pipeline.broker.kafka.vendor.connecting.failures import (
    ConnectionStage,
    Failure,
    HandshakeFailedError,
    Refusal,
    told,
)
from pipeline.connection import Security
from pipeline.errors import BrokerUnreachableError, LongtakeError

SETUP_MS = 2500  # for one attempt: connect, handshake, greeting, login
ADVERTISED_S = 2.5  # for one of the addresses that the cluster names
CUT_LIMIT = 3  # connections that a broker closed in a row, until this counts as a refusal
AGAIN_S = 0.05

_ORDINARY = (KafkaConnectionError, RequestTimedOutError, Cancelled)  # ends of a working connection
_GIVEN_UP = (*_ORDINARY, KafkaTimeoutError)  # ends of an attempt that had too little time

_BEFORE_SERVING = (
    ApiVersionsRequest,
    SaslHandshakeRequest,
    SaslAuthenticateRequest,
    SaslBytesRequest,
)


class WholeTcp(KafkaTCPTransport):
    """The vendor's TCP, which discards no bytes that came before the end (K31)."""

    _sock: Any

    def _sock_recv(self) -> Any:
        received, error = super()._sock_recv()  # type: ignore[misc]
        return received, None if received else error  # the next call finds the end again


class PunctualTls(KafkaSSLTransport):
    """The vendor's TLS, with a time limit of the handshake (K28), and K31 as above."""

    _net: Any
    _sock: Any

    def _sock_recv(self) -> Any:
        received, error = super()._sock_recv()  # type: ignore[misc]
        return received, None if received else error

    async def handshake_by(self, deadline_s: float) -> None:
        """Shake hands. Raises `KafkaTimeoutError` at `deadline_s` of the monotonic clock."""
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._net.wait_read(self._sock, timeout_at=deadline_s)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(self._sock, timeout_at=deadline_s)
            else:
                return


class WatchedConnection(KafkaConnection):
    """The vendor's connection, which remembers how far it came."""

    connecting = True
    cut_short = False  # whether it has less than `SETUP_MS`: the time for opening is nearly over
    served = False  # whether the broker has answered a request behind the login
    offered: tuple[str, ...] = ()  # the mechanisms that the broker has enabled

    def connection_made(self, transport: Any) -> None:
        """See the vendor's."""
        self.connecting = False
        super().connection_made(transport)

    def _send_request(self, request: Any, future: Any = None, timeout_at: Any = None) -> Any:
        sent = super()._send_request(request, future=future, timeout_at=timeout_at)  # type: ignore[misc]
        if isinstance(request, SaslHandshakeRequest):
            sent.add_callback(self._keep_offered)
        elif not self.served and not isinstance(request, _BEFORE_SERVING):
            sent.add_callback(self._keep_served)
        return sent

    def _keep_offered(self, response: Any) -> None:
        self.offered = tuple(response.mechanisms)

    def _keep_served(self, response: Any) -> None:
        del response
        self.served = True


class WatchedManager(KafkaConnectionManager):
    """The vendor's connections of one client, with the reasons for which they fail.

    While the client is opened, a reason that only a person can mend ends the attempt at once: then
    `maybe_raise_auth_failure` raises it. Later every connection is tried again for ever.
    """

    _net: Any
    _conns: Any
    config: Any
    cluster: Any
    closed: bool

    def __init__(self, net: Any, *, security: Security, **config: Any) -> None:
        super().__init__(net, **config)
        self._security = security
        self._refused: dict[Any, Refusal] = {}  # by node; the newest
        self._cut: dict[Any, int] = {}  # how often in a row a node closed the connection
        self._opening = True
        self._transports: WeakSet[WholeTcp | PunctualTls] = WeakSet()

    def drop_sockets(self) -> None:
        """Close what is still open once nothing is sent or received any more (K37)."""
        for transport in list(self._transports):
            sock, transport._sock = transport._sock, None  # noqa: SLF001
            if sock is not None:
                sock.close()

    @property
    def trouble(self) -> Refusal | None:
        """Why no broker can be reached now; None if one can, or none was tried."""
        if any(conn.connected for conn in list(self._conns.values())):
            return None
        found = list(self._refused.values())
        return next((one for one in reversed(found) if not one.heals), found[-1] if found else None)

    def maybe_raise_auth_failure(self, node_id: Any) -> None:
        """Raise the refusal of all servers that this client was given, while it is opened."""
        del node_id
        if not self._opening:
            return
        found = [self._refused.get(one.node_id) for one in self.cluster.bootstrap_brokers()]
        if all(one is not None and not one.heals for one in found) and found[0] is not None:
            raise found[0].error

    def get_connection(
        self, node_id: Any, timeout_ms: float | None = None, *how: Any, **settings: Any
    ) -> WatchedConnection:
        """See the vendor's. A new connection is watched; it has `SETUP_MS` to log in."""
        known = self._conns.get(node_id)
        limit_ms = SETUP_MS if timeout_ms is None else min(timeout_ms, SETUP_MS)
        made: Any = super().get_connection(node_id, limit_ms, *how, **settings)
        if made is not known:
            made.__class__ = WatchedConnection
            made.cut_short = limit_ms < SETUP_MS
            made.close_future.add_errback(partial(self._lost, node_id, made))
        connection: WatchedConnection = made
        return connection

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await create_connection(  # type: ignore[no-untyped-call]
            self._net, node.host, node.port, self.config["socket_options"], timeout_at=timeout_at
        )
        if not self.ssl_enabled:
            plain = WholeTcp(self._net, sock, host=node.host)
            self._transports.add(plain)
            return plain
        settings = {name: one for name, one in self.config.items() if name.startswith("ssl_")}
        try:
            transport = PunctualTls(self._net, sock, host=node.host, **settings)
        except BaseException as exc:
            sock.close()
            raise HandshakeFailedError from exc
        try:
            await transport.handshake_by(timeout_at or time.monotonic() + SETUP_MS / 1000)
        except BaseException as exc:  # GeneratorExit too: the client is closed meanwhile (K37)
            transport.abort(exc)
            if isinstance(exc, Exception):
                raise HandshakeFailedError from exc
            raise
        self._transports.add(transport)
        return transport

    def bootstrap(self, timeout_ms: float | None = None, refresh: bool = True) -> None:  # noqa: FBT001, FBT002 - the vendor's
        """See the vendor's. It also requires that an address that the cluster names works (K30)."""
        super().bootstrap(timeout_ms, refresh)
        if self._opening:
            self._net.run(self._reach)
            self._opening = False

    async def _reach(self) -> None:
        """Connect to one of the brokers that the cluster names, or raise why none can be."""
        deadline_s = time.monotonic() + ADVERTISED_S
        while True:
            node_id = self.least_loaded_node()  # type: ignore[no-untyped-call]
            with suppress(KafkaError, OSError, ValueError, LongtakeError):
                if node_id is not None:
                    await self.get_connection(node_id)
                    return
            refused = [self._refused.get(one.node_id) for one in self.cluster.brokers()]
            known = [one for one in refused if one is not None]
            if len(known) == len(refused) and not any(one.heals for one in known):
                break
            if time.monotonic() >= deadline_s:
                break
            await self._net.sleep(AGAIN_S)
        why = next((one for one in known if not one.heals), known[0] if known else None)
        text = "none of them answers" if why is None else why.text
        kind = BrokerUnreachableError if why is None else why.kind
        raise kind(
            f"the Kafka at {_named(self.cluster.bootstrap_brokers())} names as its brokers"
            f" {_named(self.cluster.brokers())} (their advertised.listeners), and none of these can"
            f" be used from here: {text}"
        )

    def _lost(self, node_id: Any, conn: WatchedConnection, error: BaseException) -> None:
        """Keep the reason for which a connection has ended."""
        known = self._refused.pop(node_id, None)
        if known is not None and conn.cut_short and not conn.served and type(error) in _GIVEN_UP:
            self._refused[node_id] = known  # that we gave up says less than why it failed before
            return
        node = self.cluster.broker_metadata(node_id)
        if conn.served:
            self._cut.pop(node_id, None)
        if node is None or self.closed or (conn.served and type(error) in _ORDINARY):
            return
        failure = Failure(node.host, node.port, _stage(conn, error), error, conn.offered)
        refusal = explain(failure, self._security, asks=self._opening)
        if failure.stage is ConnectionStage.UNSERVED:
            self._cut[node_id] = self._cut.get(node_id, 0) + 1
            if self._cut[node_id] < CUT_LIMIT:  # perhaps the broker was stopped at this moment
                refusal = replace(refusal, kind=BrokerUnreachableError)
        self._refused[node_id] = refusal
        if failure.stage is ConnectionStage.GREETING and not self.cluster.is_bootstrap(node_id):
            self._net.call_soon(partial(self.update_backoff, node_id))  # K29


def _named(brokers: Iterable[Any]) -> str:
    return told(", ".join(sorted(f"{broker.host}:{broker.port}" for broker in brokers)))


def _stage(conn: WatchedConnection, error: BaseException) -> ConnectionStage:
    if conn.served:
        return ConnectionStage.SERVED
    if isinstance(error, HandshakeFailedError):
        return ConnectionStage.HANDSHAKE
    if conn.connecting:
        return ConnectionStage.CONNECTING
    return ConnectionStage.UNSERVED if conn.init_future.succeeded() else ConnectionStage.GREETING


class WatchedClient(KafkaNetClient):
    """What the vendor's clients connect by, which leaves no socket open."""

    _manager: WatchedManager

    def close(self, node_id: Any = None) -> None:
        """See the vendor's."""
        super().close(node_id)
        if node_id is None:
            self._manager.drop_sockets()


def watched_client(security: Security, **config: Any) -> WatchedClient:
    """Return what the vendor's clients connect by."""
    net = NetworkSelector(**config)
    manager = WatchedManager(net, security=security, **config)
    return WatchedClient(net=net, manager=manager, **config)


def trouble_of(client: Any) -> Refusal | None:
    """Why a client that `watched_client` connects reaches no broker now; None if it reaches one."""
    manager = getattr(client, "_manager", None) or getattr(client, "_client", None)
    return manager.trouble if isinstance(manager, WatchedManager) else None
