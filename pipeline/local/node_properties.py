"""What a node of the local Kafka is told: its server.properties and its log4j2.properties.

Chosen for one developer's machine and for tests: few threads and partitions so that it starts
fast, short waits so that faults show fast, and nothing that listens beyond 127.0.0.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.local.ports import HOST

RECORDS = "logs"  # below the node's folder
RECORD_BYTES = 16 << 20  # a frame of 8 MiB fits, with what surrounds it


@dataclass(frozen=True, slots=True)
class Detour:
    """A broker's second door: who comes in by `port` is told to call at `advertised` ever after.

    For tests that put a proxy of theirs before the brokers.
    """

    port: int
    advertised: int


@dataclass(frozen=True, slots=True)
class Node:
    """One broker, who is a controller too. `node_id` counts from 1 and is the broker's id."""

    node_id: int
    port: int
    controller_port: int
    folder: Path
    detour: Detour | None = None

    @property
    def address(self) -> str:
        """Where its clients call."""
        return f"{HOST}:{self.port}"

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
        """What the broker says."""
        return self.folder / "broker.log"

    @property
    def output(self) -> Path:
        """What Java says before and beside that."""
        return self.folder / "java.log"

    @property
    def is_formatted(self) -> bool:
        """Whether its folder has been prepared for a cluster."""
        return (self.folder / RECORDS / "meta.properties").exists()


def write_settings(node: Node, nodes: Sequence[Node], extra: Mapping[str, str]) -> None:
    """Write both files into the node's folder; `extra` wins over our settings.

    They name files relative to that folder, which the node works in: a properties file has no good
    way to write a path with a comma, a dollar sign or an umlaut.
    """
    node.folder.mkdir(parents=True, exist_ok=True)
    for log in (node.log, node.output):  # an error shows this run's last lines, not an older one's
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
    settings = {**server_settings(node, nodes), **extra}
    lines = [f"{key}={value}\n" for key, value in settings.items()]
    node.properties.write_text("".join(lines), "utf-8")
    node.logging.write_text(LOGGING.format(file=node.log.name), "utf-8")


def server_settings(node: Node, nodes: Sequence[Node]) -> dict[str, str]:
    """The broker settings of `node` in a cluster of `nodes`."""
    copies = min(3, len(nodes))
    in_sync = 2 if copies == 3 else 1  # two nodes tolerate no loss either way: KRaft wants both
    settings: dict[str, object] = {
        # Who it is. Voters are written here, not in the log, so ports may differ at each start.
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(
            f"{peer.node_id}@{HOST}:{peer.controller_port}" for peer in nodes
        ),
        "listeners": f"BROKER://{node.address},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"BROKER://{node.address}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
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
        "log.cleaner.dedupe.buffer.size": 16 << 20,  # 128 MiB by default, from a heap of 320
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
        # Small.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 2,
    }
    if node.detour is not None:
        settings["listeners"] = f"{settings['listeners']},DETOUR://{HOST}:{node.detour.port}"
        settings["advertised.listeners"] = (
            f"{settings['advertised.listeners']},DETOUR://{HOST}:{node.detour.advertised}"
        )
        settings["listener.security.protocol.map"] = (
            f"{settings['listener.security.protocol.map']},DETOUR:PLAINTEXT"
        )
    return {key: str(value) for key, value in settings.items()}


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
