"""Kafka's console consumer reads what our reader reads, also with dead workers' transactions."""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from engines.cache import cache_folder
from pipeline.errors import LocalKafkaError
from pipeline.local.cluster import LocalKafka
from pipeline.local.download import download
from pipeline.local.jars import VERSION, classpath
from pipeline.local.java import find_java
from tests.clusters import KafkaCluster
from tests.faults.test_failover import PARTITIONS, Crew

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

MOST_KILLS = 8
TOOLS = f"org/apache/kafka/kafka-tools/{VERSION}/kafka-tools-{VERSION}.jar"
TOOLS_SHA256 = "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c"  # of 4.3.1
PATIENCE_S = 20.0


@pytest.fixture
def crew(kafka: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    monkeypatch.setenv("LONGTAKE_CHECKPOINT_S", "0.01")  # commits continuously
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    made = Crew(cluster, tmp_path)
    yield made
    made.close()
    cluster.close()


class Log:
    """The predictions in the log, with all transactions."""

    def __init__(self, crew: Crew) -> None:
        self._places = [
            TopicPartition(crew.cluster.topics.predictions, n) for n in range(PARTITIONS)
        ]
        self._stable, self._raw = (
            KafkaConsumer(
                bootstrap_servers=crew.cluster.config.bootstrap,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                isolation_level=level,
            )
            for level in ("read_committed", "read_uncommitted")
        )
        self._raw.assign(self._places)

    def has_open_transaction(self) -> bool:
        ends = self._raw.end_offsets(self._places)
        return self._stable.end_offsets(self._places) != ends

    def count(self) -> int:
        """Count every record, including those of aborted and open transactions."""
        ends = self._raw.end_offsets(self._places)
        self._raw.seek_to_beginning(*self._places)
        seen = 0
        while any((self._raw.position(place) or 0) < ends[place] for place in self._places):
            seen += sum(len(batch) for batch in self._raw.poll(100).values())
        return seen

    def close(self) -> None:
        self._stable.close(timeout_ms=1000)
        self._raw.close(timeout_ms=1000)


def kill_in_the_midst_of_a_commit(crew: Crew, log: Log) -> None:
    """Kill workers that have a backlog until one has left uncommitted predictions."""
    for _ in range(MOST_KILLS):
        crew.film(30, pause_s=0)
        crew.launch("one", "--slot", "one")
        deadline_s = time.monotonic() + PATIENCE_S
        while not log.has_open_transaction() and time.monotonic() < deadline_s:
            pass
        crew.kill("one")
        if log.count() > len(crew.cluster.committed(crew.cluster.topics.predictions)):
            return
    pytest.fail(f"{MOST_KILLS} kills met no commit half done; {crew.last_words()}")


@pytest.fixture(scope="module")
def java() -> list[str]:
    """Return the console consumer's command. The broker has all its jars except one."""
    try:
        jars = classpath(os.environ)
        if not os.environ.get("KAFKA_HOME"):
            jars += os.pathsep + str(tools_jar())
        return [str(find_java(os.environ)), "-Xmx256m", "-Dlog4j2.level=OFF", "-cp", jars]
    except LocalKafkaError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no console consumer: {exc}")


def tools_jar() -> Path:
    folder = cache_folder(os.environ) / f"kafka-tools-{VERSION}"
    jar = folder / TOOLS
    if not jar.is_file():
        download([TOOLS], folder, label="Kafka's tools")
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == TOOLS_SHA256, f"delete {folder}"
    return jar


def java_reads(crew: Crew, java: list[str], isolation_level: str) -> list[tuple[int, bytes]]:
    """Return partition and value of all records that the console consumer prints."""
    command = [
        *(*java, "org.apache.kafka.tools.consumer.ConsoleConsumer"),
        *("--bootstrap-server", crew.cluster.config.bootstrap),
        *("--topic", crew.cluster.topics.predictions, "--from-beginning"),
        *("--isolation-level", isolation_level, "--timeout-ms", "8000"),
        *("--formatter-property", "print.partition=true"),
        *("--formatter-property", "key.separator= "),
    ]
    ended = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert ended.stdout.startswith(b"Partition:"), ended.stdout[:500] + ended.stderr
    lines = [line.split(b" ", 1) for line in ended.stdout.splitlines()]
    return [(int(place.removeprefix(b"Partition:")), value) for place, value in lines]


def test_the_console_consumer_of_kafka_reads_the_same_bytes(crew: Crew, java: list[str]) -> None:
    log = Log(crew)
    kill_in_the_midst_of_a_commit(crew, log)
    crew.launch("one", "--slot", "one")
    ours = [(r.partition, r.value or b"") for r in crew.await_predictions(crew.filmed)]
    assert len(ours) == crew.filmed
    assert log.count() > len(ours)  # aborted records are still there
    log.close()
    theirs = java_reads(crew, java, "read_committed")
    assert sorted(theirs, key=lambda line: line[0]) == ours  # stable: keeps the log's order
