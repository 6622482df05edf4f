"""The configuration of a node of the local Kafka: server.properties and log4j2.properties.

The values suit one developer's machine and tests: few threads and partitions for a fast start,
short timeouts so that faults show soon, and no listener beyond 127.0.0.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.local.ports import HOST
from pipeline.local.secure.key_files import write_private

RECORDS = "logs"  # below the node's folder
RECORD_BYTES = 16 << 20  # a frame of 8 MiB fits, with its headers
CLIENTS, DETOURS, MTLS = "BROKER", "DETOUR", "MTLS"  # listeners

AFTER_A_CRASH: Mapping[str, str] = MappingProxyType(
    {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "15000"}
)
"""Settings of a broker that has records already.

K32: a broker that was killed and is back within `broker.session.timeout.ms` (9 s) is refused by the
controller until that has passed. Meanwhile its coordinator aborts transactions that have timed out,
finds no leader for their partitions, takes these for deleted, and writes no markers: no reader gets
past such a transaction any more. So the first check comes later than that, with room for a slow
machine: the default, 10 s, was too short for one.
"""


@dataclass(frozen=True, slots=True)
class Detour:
    """A second listener of a broker: on `port` it advertises `advertised` as its own port.

    Clients that connect to `port` use `advertised` from then on. Tests put a proxy there.
    """

    port: int
    advertised: int


@dataclass(frozen=True, slots=True)
class Listener:
    """One place where a broker listens; controllers do not advertise theirs."""

    name: str
    protocol: str
    port: int
    advertised: int | None

    @property
    def has_login(self) -> bool:
        """Whether clients log in by SASL."""
        return self.protocol.startswith("SASL_")


@dataclass(frozen=True, slots=True)
class Node:
    """One broker, which is a controller too. `node_id` counts from 1 and is the broker's id."""

    node_id: int
    port: int
    controller_port: int
    folder: Path
    detour: Detour | None = None
    mtls_port: int | None = None  # None: the cluster is not secured

    @property
    def address(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.port}"

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Where it listens. Brokers of a secured cluster reach each other by their certificates."""
        secured = self.mtls_port is not None
        clients, cluster = ("SASL_SSL", "SSL") if secured else ("PLAINTEXT", "PLAINTEXT")
        found = [
            Listener(CLIENTS, clients, self.port, self.port),
            Listener("CONTROLLER", cluster, self.controller_port, None),
        ]
        if self.detour is not None:
            found.append(Listener(DETOURS, clients, self.detour.port, self.detour.advertised))
        if self.mtls_port is not None:
            found.append(Listener(MTLS, cluster, self.mtls_port, self.mtls_port))
        return tuple(found)

    @property
    def properties(self) -> Path:
        """Its server.properties."""
        return self.folder / "server.properties"

    @property
    def logging(self) -> Path:
        """Its log4j2.properties."""
        return self.folder / "log4j2.properties"

    @property
    def log(self) -> Path:
        """The broker's log file."""
        return self.folder / "broker.log"

    @property
    def output(self) -> Path:
        """The file with the output of Java: errors before the log exists, and outside of it."""
        return self.folder / "java.log"

    @property
    def is_formatted(self) -> bool:
        """Whether its folder has been formatted for a cluster."""
        return (self.folder / RECORDS / "meta.properties").exists()


def write_settings(node: Node, nodes: Sequence[Node], extra: Mapping[str, str]) -> None:
    """Write both files into the node's folder; `extra` replaces our settings.

    Both files contain only paths relative to that folder, which is the node's working directory,
    because a properties file cannot hold a path with a comma, a dollar sign or an umlaut reliably.
    """
    node.folder.mkdir(parents=True, exist_ok=True)
    for log in (node.log, node.output):  # so that an error shows lines of this run only
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
    settings = {**server_settings(node, nodes), **extra}
    lines = [f"{key}={value}\n" for key, value in settings.items()]
    write_private(node.properties, "".join(lines).encode())  # it can hold passwords
    node.logging.write_text(LOGGING.format(file=node.log.name), "utf-8")


def server_settings(node: Node, nodes: Sequence[Node]) -> dict[str, str]:
    """Return the broker settings of `node` in a cluster of `nodes`."""
    copies = min(3, len(nodes))
    in_sync = 2 if copies == 3 else 1  # two nodes tolerate no loss anyway: KRaft needs both
    settings: dict[str, object] = {
        # Identity. Voters are listed here, not in the log, so that ports may differ at each start.
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(
            f"{peer.node_id}@{HOST}:{peer.controller_port}" for peer in nodes
        ),
        **_listening(node.listeners),
        "inter.broker.listener.name": CLIENTS if node.mtls_port is None else MTLS,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": RECORDS,
        # Topics.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "message.max.bytes": RECORD_BYTES,
        "replica.fetch.max.bytes": RECORD_BYTES,
        "log.index.size.max.bytes": 1 << 20,  # allocated ahead, twice for each segment
        "log.cleaner.backoff.ms": 1000,
        "log.cleaner.dedupe.buffer.size": 16 << 20,  # the default is 128 MiB, of a heap of 320
        "log.initial.task.delay.ms": 5000,
        "log.retention.check.interval.ms": 5000,
        # Groups and transactions.
        "offsets.topic.num.partitions": 5,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 5,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 5,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "transactional.id.expiration.ms": 86_400_000,
        # Few threads.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 2,
    }
    return {key: str(value) for key, value in settings.items()}


def _listening(listeners: Sequence[Listener]) -> dict[str, str]:
    advertised = [(one.name, one.advertised) for one in listeners if one.advertised is not None]
    return {
        "listeners": ",".join(f"{one.name}://{HOST}:{one.port}" for one in listeners),
        "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in advertised),
        "listener.security.protocol.map": ",".join(
            f"{one.name}:{one.protocol}" for one in listeners
        ),
    }


LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {file}
appender.file.filePattern = {file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d] %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""
