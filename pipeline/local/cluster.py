"""Starts and stops a real Apache Kafka of one to nine nodes on this machine."""

import atexit
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from pipeline.broker.kafka.privileges import Role
from pipeline.broker.kafka.vendor.nodes import nodes_serving
from pipeline.connection import Connection, SaslMechanism
from pipeline.errors import ConfigError, LocalKafkaError, PortTakenError
from pipeline.local.folder import DataFolder
from pipeline.local.jars import classpath
from pipeline.local.java import find_java
from pipeline.local.node_properties import Detour, Node, write_settings
from pipeline.local.ports import HOST, free_ports, wanted_ports
from pipeline.local.processes import Java, Process, end, last_words
from pipeline.local.secure.protection import Protection, Secure

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 15.0
ASK_TIMEOUT_S = 5.0
PAUSE_S = 0.05
MOST_NODES = 9
NOTHING_EXTRA: Mapping[str, str] = MappingProxyType({})
NO_DETOURS: Mapping[int, Detour] = MappingProxyType({})


class LocalKafka:
    """A cluster of `nodes` brokers on 127.0.0.1, with the ids 1, 2, ...; each is a controller too.

    `port` is the port of the first node, the next node has the next port; 0 takes any free ports.
    Ports stay the same over `restart`. `data` is the folder of the records, which another
    LocalKafka can use later; None is a temporary folder that `stop` removes. `settings` are broker
    settings that replace ours; `detours` are second listeners of some nodes, by node id. With
    `secure` every client needs TLS and a login, and may do what the commands of its role need.

    The process that calls `start`, or enters the object as a context, owns the brokers. They do not
    outlive it: `stop`, an ordinary exit and, on Linux, even a SIGKILL of the owner end them.
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        port: int = 0,
        data: Path | None = None,
        settings: Mapping[str, str] = NOTHING_EXTRA,
        detours: Mapping[int, Detour] = NO_DETOURS,
        secure: Secure | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        if not 1 <= nodes <= MOST_NODES:
            raise ConfigError(f"nodes = {nodes}: 1 to {MOST_NODES} are possible; 3 survive a loss")
        self._count, self._port, self._data = nodes, port, data
        self._settings, self._detours, self._environ = settings, detours, environ
        self._secure = secure
        self._protection: Protection | None = None
        self._folder: DataFolder | None = None
        self._java: Java | None = None
        self._nodes: dict[int, Node] = {}
        self._processes: dict[int, Process] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes, comma separated."""
        return ",".join(node.address for node in self._nodes.values())

    @property
    def connection(self) -> Connection:
        """How a client reaches it; a secured one as the administrator, who may do everything."""
        if self._secure is None:
            return Connection(self.bootstrap)
        return self.protection.connection

    @property
    def protection(self) -> Protection:
        """How roles reach a secured one. Raises LocalKafkaError if it is none, or not started."""
        if self._protection is None:
            raise LocalKafkaError("this local Kafka is not secured, or does not run")
        return self._protection

    def connection_for(
        self, role: Role, mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512
    ) -> Connection:
        """How a role reaches a secured one with its password; see `protection` for other ways."""
        return self.protection.by_password(role, mechanism)

    @property
    def pids(self) -> dict[int, int]:
        """Process ids of the running nodes, by node id."""
        running = self._processes.items()
        return {node_id: process.pid for node_id, process in running if process.poll() is None}

    @property
    def logs(self) -> dict[int, Path]:
        """The brokers' log files, by node id."""
        return {node_id: node.log for node_id, node in self._nodes.items()}

    def start(self) -> None:
        """Start all nodes, and return when each of them answers and lists all others.

        Raises LocalKafkaError and PortTakenError, after everything was stopped again.
        """
        if self._folder is not None:
            raise LocalKafkaError(f"this local Kafka runs already, at {self.bootstrap}")
        atexit.register(self.stop)
        try:
            self._prepare()
            for node_id in self._nodes:
                self.launch(node_id)
            self._wait(list(self._nodes), together=self._count)
            if self._protection is not None:
                self._protection.admit()
        except LocalKafkaError:
            self._keep_logs()
            self.stop()
            raise
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes by SIGTERM, then SIGKILL, and remove a temporary data folder.

        With a temporary folder SIGKILL comes at once: its records are lost anyway, and an orderly
        stop of three nodes takes 6 s.
        """
        for process in self._processes.values():
            end(process, signal.SIGKILL if self._data is None else signal.SIGTERM)
            end(process, signal.SIGCONT)  # a paused node does not act on SIGTERM
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in self._processes.values():
            _reap(process, deadline)
        self._processes.clear()
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._protection is not None:
            self._protection.close()
            self._protection = None
        atexit.unregister(self.stop)

    def kill(self, node: int) -> None:
        """Send SIGKILL to a node, and wait until its process has ended."""
        self.stop_node(node, signal.SIGKILL)

    def stop_node(self, node: int, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to a running node. If the signal ends it, wait until it has ended."""
        if node not in self._processes:
            raise LocalKafkaError(f"node {node} of the local Kafka does not run")
        end(self._processes[node], number)
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            _reap(self._processes.pop(node), time.monotonic() + STOP_TIMEOUT_S)

    def restart(self, node: int) -> None:
        """Start a node again, after stopping it if it runs; return when it answers."""
        if node in self._processes:
            self.stop_node(node)
        self.launch(node)
        self._wait([node], together=1)

    def launch(self, node: int) -> None:
        """Start the process of a node that has ended, without waiting until it answers."""
        if self._java is None or node in self.pids:
            raise LocalKafkaError(f"node {node} runs, or its local Kafka was never started")
        self._processes[node] = self._java.broker(self._nodes[node])

    def check(self) -> None:
        """Raise LocalKafkaError if a node has ended although it was not stopped here."""
        for node_id, process in self._processes.items():
            if (code := process.poll()) is not None:
                self._keep_logs()
                raise LocalKafkaError(
                    f"node {node_id} of the local Kafka ended by itself (exit code {code})\n"
                    f"{last_words(self._nodes[node_id])}"
                )

    def _keep_logs(self) -> None:
        if self._folder is not None:
            self._folder.keep()

    def _prepare(self) -> None:
        java, jars = find_java(self._environ), classpath(self._environ)
        heap_mb = 512 if self._count == 1 else 320
        if self._secure is not None:
            self._protection = Protection(self._secure)
        options = () if self._protection is None else self._protection.java_options
        self._java = Java(java, jars, heap_mb=heap_mb, environ=self._environ, options=options)
        self._folder = DataFolder(self._data)
        cluster_id = self._folder.cluster_id(self._count)
        secured = self._protection is not None
        self._nodes = _lay_out(
            self._folder.path, self._count, self._port, self._detours, secured=secured
        )
        nodes = list(self._nodes.values())
        security = {} if self._protection is None else self._protection.prepare(nodes)
        for node in nodes:
            write_settings(node, nodes, {**security, **self._settings})
        self._java.format([node for node in nodes if not node.is_formatted], cluster_id)

    def _wait(self, node_ids: Sequence[int], *, together: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        for node_id in node_ids:
            node = self._nodes[node_id]
            while not self._serves(node, together):
                self._still_starting(node, deadline)
                time.sleep(PAUSE_S)

    def _serves(self, node: Node, together: int) -> bool:
        """Whether this node answers a client, and lists at least `together` brokers with itself."""
        try:
            socket.create_connection((HOST, node.port), ASK_TIMEOUT_S).close()
        except OSError:
            return False
        plain = self._protection is None
        connection = Connection(node.address) if plain else self.protection.probe(node)
        return nodes_serving(connection, ASK_TIMEOUT_S) >= together

    def _still_starting(self, node: Node, deadline: float) -> None:
        code = self._processes[node.node_id].poll()
        if code is None and time.monotonic() < deadline:
            return
        words = last_words(node)
        if code is not None and "Address already in use" in words:
            raise PortTakenError(
                f"port {node.port} or {node.controller_port} on {HOST} was taken while node "
                f"{node.node_id} started; start again, or choose another port"
            )
        what = f"does not serve after {START_TIMEOUT_S:.0f} s"
        if code is not None:
            what = f"ended while it started (exit code {code})"
        raise LocalKafkaError(f"node {node.node_id} of the local Kafka {what}\n{words}")


def _lay_out(
    folder: Path, count: int, port: int, detours: Mapping[int, Detour], *, secured: bool = False
) -> dict[int, Node]:
    taken = {door for detour in detours.values() for door in (detour.port, detour.advertised)}
    wanted = wanted_ports(port, count) if port else []
    kinds = 3 if secured else 2
    ports = wanted + free_ports(kinds * count - len(wanted), besides={*taken, *wanted})
    return {
        node_id: Node(node_id, ports[at], ports[count + at], folder / f"node-{node_id}",
                      detours.get(node_id), ports[2 * count + at] if secured else None)
        for at, node_id in enumerate(range(1, count + 1))
    }  # fmt: skip


def _reap(process: Process, deadline: float) -> None:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        end(process, signal.SIGKILL)
        process.wait()
