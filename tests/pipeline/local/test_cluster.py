"""The local Kafka serves, keeps its records, reports errors, and leaves nothing behind."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from pipeline.broker.kafka.vendor.nodes import nodes_serving
from pipeline.connection import Connection
from pipeline.errors import ConfigError, LocalKafkaError, PortTakenError
from pipeline.local.cluster import LocalKafka
from pipeline.local.ports import free_ports, wanted_ports


def create_topic(kafka: LocalKafka, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap.split(","))
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=-1)])
    admin.close()


def produce(kafka: LocalKafka, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap.split(","), acks="all")
    producer.send(topic, value).get(30)
    producer.close()


def read(kafka: LocalKafka, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap.split(","), group_id="readers",
        auto_offset_reset="earliest", enable_auto_commit=False, consumer_timeout_ms=20_000,
    )  # fmt: skip
    values = [record.value for _, record in zip(range(count), consumer, strict=False)]
    consumer.close()
    return values


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def three() -> Iterator[LocalKafka]:
    with LocalKafka(nodes=3) as kafka:
        yield kafka


@pytest.mark.kafka
def test_records_outlive_a_restart_on_the_same_folder(tmp_path: Path) -> None:
    with LocalKafka(data=tmp_path) as kafka:
        create_topic(kafka, "kept")
        produce(kafka, "kept", b"before")
    with LocalKafka(data=tmp_path) as kafka:
        produce(kafka, "kept", b"after")
        assert read(kafka, "kept", 2) == [b"before", b"after"]


@pytest.mark.kafka
def test_a_temporary_folder_and_its_process_are_gone_after_stop() -> None:
    with LocalKafka() as kafka:
        folder, pid = kafka.logs[1].parents[1], kafka.pids[1]
        assert is_running(pid)
        assert folder.is_dir()
    assert not is_running(pid)
    assert not folder.exists()


@pytest.mark.kafka
def test_the_thread_that_started_it_may_end() -> None:
    kafka = LocalKafka()
    starter = threading.Thread(target=kafka.start)
    starter.start()
    starter.join()
    time.sleep(0.2)  # Linux sends the death signal when the parent thread ends, not the process
    kafka.check()
    kafka.stop()


@pytest.mark.kafka
def test_every_one_of_three_nodes_serves_and_knows_the_others(three: LocalKafka) -> None:
    assert [nodes_serving(Connection(node), 5) for node in three.bootstrap.split(",")] == [3, 3, 3]


@pytest.mark.kafka
def test_three_nodes_listen_on_loopback_only(three: LocalKafka) -> None:
    ports = [int(node.rpartition(":")[2]) for node in three.bootstrap.split(",")]
    for port in ports:
        with socket.socket() as other:  # would be refused if the wildcard address were taken
            other.bind(("127.0.0.2", port))


@pytest.mark.kafka
@pytest.mark.slow
def test_a_killed_node_loses_no_record_and_comes_back(three: LocalKafka) -> None:
    create_topic(three, "survives")
    produce(three, "survives", b"one")
    three.kill(2)
    assert sorted(three.pids) == [1, 3]
    produce(three, "survives", b"two")
    three.restart(2)
    assert read(three, "survives", 2) == [b"one", b"two"]
    assert sorted(three.pids) == [1, 2, 3]


@pytest.mark.kafka
def test_a_broker_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    kafka = LocalKafka(data=tmp_path, settings={"num.io.threads": "none at all"})
    with pytest.raises(LocalKafkaError, match="none at all") as raised:
        kafka.start()
    assert f"the last lines of {tmp_path}/node-1/" in str(raised.value)
    assert kafka.pids == {}


@pytest.mark.kafka
def test_a_node_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    with LocalKafka(data=tmp_path) as kafka:
        kafka.check()
        os.kill(kafka.pids[1], signal.SIGKILL)
        while kafka.pids:
            time.sleep(0.01)
        with pytest.raises(LocalKafkaError, match=r"node 1 .* ended by itself"):
            kafka.check()


@pytest.mark.kafka
def test_a_taken_port_is_named_and_nothing_is_left() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTakenError, match=str(port)):
        LocalKafka(port=port).start()


def test_the_second_of_three_ports_may_be_the_taken_one() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTakenError, match=str(port)):
        wanted_ports(port - 1, 3)


@pytest.mark.parametrize("port", [-1, 65_535, 70_000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=str(port)):
        wanted_ports(port, 2)


@pytest.mark.parametrize("nodes", [0, 10])
def test_a_number_of_nodes_that_makes_no_sense_is_refused(nodes: int) -> None:
    with pytest.raises(ConfigError, match=f"nodes = {nodes}"):
        LocalKafka(nodes=nodes)
