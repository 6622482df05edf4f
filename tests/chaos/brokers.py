"""Three real brokers behind a proxy, and the faults that can be caused in them."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError

from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError
from pipeline.local.cluster import LocalKafka
from pipeline.local.node_properties import Detour
from pipeline.local.ports import free_ports
from tests.chaos.proxy import HOST, Proxy

INNER = ("__transaction_state", "__consumer_offsets")
SOON = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
PREFERRED = 0


class Brokers:
    """A cluster of `nodes` brokers with two listeners each: direct, and through a proxy.

    Use it as a context. The default of 9 s until a dead broker's partitions get new leaders is
    shortened to 4 s, so that a minute has more faults.
    """

    def __init__(self, nodes: int = 3) -> None:
        ports = free_ports(2 * nodes)
        inner, outer = ports[:nodes], ports[nodes:]
        ids = range(1, nodes + 1)
        self.ids = list(ids)
        self.kafka = LocalKafka(
            nodes=nodes,
            settings=SOON,
            detours={n: Detour(inner[n - 1], outer[n - 1]) for n in ids},
        )
        self.proxy = Proxy({outer[n - 1]: n for n in ids}, {n: inner[n - 1] for n in ids})
        self.proxied = ",".join(f"{HOST}:{port}" for port in outer)

    def __enter__(self) -> "Brokers":
        self.proxy.start()  # first: its ports are taken before the brokers choose theirs
        try:
            self.kafka.start()
        except BaseException:
            self.proxy.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.proxy.stop()
        self.kafka.stop()

    @property
    def straight(self) -> str:
        """The bootstrap addresses that bypass the proxy."""
        return self.kafka.bootstrap

    def healthy(self, topics: Sequence[str]) -> bool:
        """Whether all brokers run and every replica of these topics is in sync."""
        if len(self.kafka.pids) < len(self.ids):
            return False
        try:
            with self._admin() as admin:
                found = admin.describe_topics([*topics, *INNER])
        except (KafkaError, BrokerUnavailableError):
            return False
        return all(
            len(partition["isr_nodes"]) == len(partition["replica_nodes"])
            for topic in found
            for partition in topic["partitions"]
        )

    def move_leaders(self, topics: Sequence[str], count: int, rng: random.Random) -> list[str]:
        """Move some partitions' leaders, of each topic and of Kafka's own; return their names."""
        moves = {}
        with self._admin() as admin:
            for topic in admin.describe_topics([*topics, *INNER]):
                places = rng.sample(topic["partitions"], min(count, len(topic["partitions"])))
                for place in places:
                    leader = place["leader_id"]
                    others = [node for node in place["replica_nodes"] if node != leader]
                    moves[TopicPartition(topic["name"], place["partition_index"])] = [
                        *others,
                        leader,
                    ]
            admin.alter_partition_reassignments(moves)
            chosen: dict[str, list[int]] = {}
            for moved in moves:
                chosen.setdefault(moved.topic, []).append(moved.partition)
            admin.elect_leaders(PREFERRED, chosen, raise_errors=False)
        return [f"{moved.topic}-{moved.partition}" for moved in moves]

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        admin = open_admin(Connection(self.straight), bootstrap_timeout_ms=5000)
        try:
            yield admin
        finally:
            admin.close()
