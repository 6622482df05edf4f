"""The contract of `Uplink`: the one in memory and the one to a real Kafka."""

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import pytest
from kafka.admin import NewTopic

from pipeline.broker.kafka.outlet import open_state_outlet
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.broker.kafka.uplink import KafkaUplink
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.broker.shots import Shot, ShotOutcome, Uplink
from pipeline.clock import SystemClock
from pipeline.connection import Connection
from pipeline.errors import BrokerUnreachableError, TopicError
from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from tests.uplinks import Log

MOST_BYTES = 200_000
TOPIC = "uplink"


class End(Protocol):
    """The topic behind an uplink, real or in memory."""

    def connect(self) -> Uplink: ...

    def taken(self, shots: int) -> Sequence[tuple[str, bytes]]: ...


class MemoryEnd:
    def __init__(self) -> None:
        self._log = Log()
        self._log.most_bytes = MOST_BYTES

    def connect(self) -> Uplink:
        return self._log.connect()

    def taken(self, shots: int) -> Sequence[tuple[str, bytes]]:
        return [(shot.stream, shot.content) for shot in self._log.shots]


class KafkaEnd:
    """A topic that accepts small records only."""

    def __init__(self, kafka: LocalKafka, name: str) -> None:
        self._connection, self._topic = kafka.connection, name
        limits = {"max.message.bytes": str(MOST_BYTES)}
        admin = open_admin(kafka.connection)
        admin.create_topics(
            [NewTopic(name=name, num_partitions=1, replication_factor=1, topic_configs=limits)]
        )
        admin.wait_for_topics([name])
        admin.close()

    def connect(self) -> Uplink:
        return KafkaUplink(self._connection, topic=self._topic)

    def taken(self, shots: int) -> Sequence[tuple[str, bytes]]:
        reader = TopicTail(self._connection, topic=self._topic, from_start=True)
        found: list[Record] = []
        deadline_s = time.monotonic() + 10
        while len(found) < shots and time.monotonic() < deadline_s:
            found += reader.read(0.1)
        reader.close()
        return [((record.key or b"").decode(), record.value or b"") for record in found]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def end(request: pytest.FixtureRequest) -> End:
    if request.param == "memory":
        return MemoryEnd()
    name = f"{TOPIC}-{abs(hash(request.node.name)) % 10**8}"
    return KafkaEnd(request.getfixturevalue("kafka"), name)


@pytest.fixture
def uplink(end: End) -> Iterator[Uplink]:
    made = end.connect()
    yield made
    made.close()


def shot(seq: int, *, stream: str = "gate", size: int = 100) -> Shot:
    return Shot(stream, seq, 7, 1_700_000_000_000_000 + seq, seq.to_bytes(2) * (size // 2))


def settle(uplink: Uplink, shots: int) -> dict[int, ShotOutcome]:
    """Wait until this many shots have an outcome."""
    outcomes: dict[int, ShotOutcome] = {}
    deadline_s = time.monotonic() + 10
    while len(outcomes) < shots and time.monotonic() < deadline_s:
        outcomes |= {settled.number: settled.outcome for settled in uplink.settled()}
        time.sleep(0.01)
    return outcomes


def test_shots_arrive_in_the_order_in_which_they_were_sent(end: End, uplink: Uplink) -> None:
    sent = [shot(n, stream=("gate", "yard")[n % 2]) for n in range(300)]
    for n, one in enumerate(sent):
        uplink.send(n, one)
    assert settle(uplink, 300) == dict.fromkeys(range(300), ShotOutcome.TAKEN)
    assert end.taken(300) == [(one.stream, one.content) for one in sent]


def test_an_outcome_is_told_once(uplink: Uplink) -> None:
    uplink.send(5, shot(5))
    assert settle(uplink, 1) == {5: ShotOutcome.TAKEN}
    assert list(uplink.settled()) == []


@pytest.mark.parametrize("size", [MOST_BYTES + 1000, 12 << 20], ids=["topic", "client"])
def test_what_is_too_large_is_told_and_the_rest_goes_on_in_order(
    end: End, uplink: Uplink, size: int
) -> None:
    sizes = [50_000] * 6
    sizes[3] = size
    for n, one in enumerate(sizes):
        uplink.send(n, shot(n, size=one))
    outcomes = settle(uplink, 6)
    assert [n for n, outcome in outcomes.items() if outcome is ShotOutcome.OVERSIZED] == [3]
    assert [content[1] for _, content in end.taken(5)] == [0, 1, 2, 4, 5]


@pytest.mark.kafka
def test_states_need_a_broker_and_a_topic_as_frames_do(kafka: LocalKafka) -> None:
    clock = SystemClock()
    with pytest.raises(BrokerUnreachableError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        open_state_outlet(Connection("127.0.0.1:1"), topic=TOPIC, clock=clock)
    with pytest.raises(TopicError, match="topic nowhere is missing; `longtake topics create`"):
        open_state_outlet(kafka.connection, topic="nowhere", clock=clock)


@pytest.mark.kafka
def test_nobody_there_and_no_topic_are_told_apart(kafka: LocalKafka) -> None:
    with pytest.raises(BrokerUnreachableError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        KafkaUplink(Connection("127.0.0.1:1"), topic=TOPIC)
    with pytest.raises(TopicError, match="topic nowhere is missing"):
        KafkaUplink(kafka.connection, topic="nowhere")
