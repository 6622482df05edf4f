"""Workers that are killed publish the events of their predictions: none is missing or repeated."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from pipeline.wire.predictions import NEW_CHAIN, link
from tests.clusters import KafkaCluster
from tests.faults.test_failover import PARTITIONS, Crew

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

EACH_CHANGE = {"on": 0.0001, "off": 0.0001, "min_s": 0}  # of a stream's label is an event

Started = tuple[str, int]  # a label, and the offset of its first frame


@pytest.fixture
def crew(kafka: LocalKafka, tmp_path: Path) -> Iterator[Crew]:
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    made = Crew(cluster, tmp_path)
    topic = f"{cluster.config.group}.events"
    made.environment |= {"LONGTAKE_EVENTS": json.dumps(EACH_CHANGE), "LONGTAKE_EVENTS_TOPIC": topic}
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=-1)])
    yield made
    made.close()
    admin.delete_topics([topic])
    admin.close()
    cluster.close()


def changes(predictions: Iterable[Record]) -> dict[str, list[Started]]:
    """Return where each stream's label became another one."""
    found: defaultdict[str, list[Started]] = defaultdict(list)
    for record in predictions:
        told = json.loads(record.value or b"")
        starts = found[told["stream"]]
        if not starts or starts[-1][0] != told["label"]:
            starts.append((told["label"], told["source"]["offset"]))
    return found


def starts(events: Iterable[Record]) -> dict[str, list[Started]]:
    """Return each stream's starts; between two of them is one end, of the first."""
    found: defaultdict[str, list[Started]] = defaultdict(list)
    opened, chains = dict[str, str](), dict[str, str]()
    for record in events:
        value = record.value or b""
        told = json.loads(value)
        stream = told["stream"]
        assert told["prev"] == chains.get(stream, NEW_CHAIN)
        assert told["chain"] == link(told["prev"], value.rpartition(b',"prev":')[0])
        chains[stream] = told["chain"]
        if told["event"] == "start":
            assert stream not in opened
            opened[stream] = told["id"]
            found[stream].append((told["label"], told["first"]["offset"]))
        else:
            assert opened.pop(stream) == told["id"]
    return found


def test_a_worker_killed_again_and_again_publishes_each_event_once(crew: Crew) -> None:
    crew.launch("one", "--slot", "one")
    for _ in range(3):
        before = crew.filmed
        crew.film(15)
        crew.await_predictions(before + 8)
        crew.kill("one")
        crew.launch("one", "--slot", "one")
    crew.film(15)
    predictions = crew.await_predictions(crew.filmed)
    crew.processes["one"].terminate()
    assert crew.processes["one"].wait(20) == 0
    found = starts(crew.cluster.committed(crew.environment["LONGTAKE_EVENTS_TOPIC"]))
    assert found == changes(predictions)
    assert sum(map(len, found.values())) > 2 * len(found), "labels do not change: proves little"
