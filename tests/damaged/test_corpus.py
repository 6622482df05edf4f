"""A worker reads two thousand damaged records: none is lost, none affects other streams."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engines.onnxrt import onnxruntime_engine
from pipeline.config import Start, WorkerConfig
from pipeline.records import Fate, Record
from tests.clusters import KafkaCluster
from tests.damaged.corpus import DAMAGED, GOOD, OVERSIZED_BYTES, PARTITIONS, records, standard
from tests.damaged.publishing import cluster_on, publish_all
from tests.damaged.watched import MeasuredWorker
from tests.engines.bundles import write_tiny
from tests.world import alone

CONFIG = WorkerConfig(start=Start.EARLIEST)
MOST_S = 2.0
ALWAYS_REFUSED = {
    *("key", "key, and null", "no picture", "headers", "header flood", "empty headers"),
    "oversized",
}

Place = tuple[int, int]  # partition and offset


@dataclass(frozen=True)
class Outcome:
    """The outputs of a worker that read the corpus."""

    watched: MeasuredWorker
    frames: list[Record]
    predictions: list[Record]
    letters: list[Record]

    def alone(self, stream: str) -> list[bytes]:
        """Return the predictions of the stream's records without any other record."""
        mine = [record for record in self.frames if record.key == stream.encode()]
        engine = onnxruntime_engine(self.watched.bundle, 1)
        decoder = self.watched.decode
        return alone(mine, self.watched.bundle, engine, CONFIG, decoder=decoder)[0]


@pytest.fixture(scope="module", params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    kafka = request.getfixturevalue("kafka") if request.param == "kafka" else None
    cluster = cluster_on(kafka, PARTITIONS)
    publish_all(cluster, standard())
    bundle = write_tiny(tmp_path_factory.mktemp("damaged") / "tiny")
    config = cluster.config if isinstance(cluster, KafkaCluster) else CONFIG
    with MeasuredWorker(cluster, bundle, config) as watched:
        watched.turn_until(len(standard()))
    topics = cluster.topics
    frames, predictions, letters = (
        list(cluster.committed(topic))
        for topic in (topics.frames, topics.predictions, topics.dead_letters)
    )
    yield Outcome(watched, frames, predictions, letters)
    if isinstance(cluster, KafkaCluster):
        cluster.close()


def predicted(outcome: Outcome) -> list[Place]:
    sources = [json.loads(record.value or b"")["source"] for record in outcome.predictions]
    return [(source["partition"], source["offset"]) for source in sources]


def dead_lettered(outcome: Outcome) -> list[Place]:
    headers = [dict(record.headers) for record in outcome.letters]
    return [(int(h["source-partition"]), int(h["source-offset"])) for h in headers]


def test_a_seed_gives_the_same_damage_again() -> None:
    one, again = (list(records(3, 200, oversized_bytes=OVERSIZED_BYTES)) for _ in range(2))
    assert one == again


def test_the_corpus_has_enough_damage_of_every_kind() -> None:
    wrong = Counter(sent.wrong for sent in standard() if sent.wrong != "nothing")
    assert wrong.total() == DAMAGED
    assert len(wrong) > 40


def test_every_record_ends_in_one_fate_and_one_place(outcome: Outcome) -> None:
    fates = outcome.watched.fates
    assert sum(fates.values()) == len(standard()) == len(outcome.frames)
    places = Counter(predicted(outcome)) + Counter(dead_lettered(outcome))
    assert set(places.values()) == {1}
    assert len(outcome.predictions) == fates[Fate.PREDICTED]
    assert len(outcome.letters) == fates[Fate.DEAD_LETTERED] > DAMAGED / 2


def test_no_turn_of_the_worker_and_no_decode_takes_two_seconds(outcome: Outcome) -> None:
    assert outcome.watched.slowest_turn_s < MOST_S
    assert outcome.watched.slowest_decode_s < MOST_S


def test_records_that_break_the_contract_are_dead_lettered_and_the_others_predicted(
    outcome: Outcome,
) -> None:
    ends = Counter[int]()
    wrong: dict[Place, str] = {}
    for sent in standard():
        wrong[sent.partition, ends[sent.partition]] = sent.wrong
        ends[sent.partition] += 1
    refused = {place for place, what in wrong.items() if what in ALWAYS_REFUSED}
    good = {place for place, what in wrong.items() if what == "nothing"}
    assert refused <= set(dead_lettered(outcome))
    assert good <= set(predicted(outcome))


@pytest.mark.parametrize("stream", [*GOOD, *(f"bad-{number}" for number in range(10))])
def test_a_stream_among_damaged_ones_answers_as_if_it_were_alone(
    outcome: Outcome, stream: str
) -> None:
    mine = [r.value for r in outcome.predictions if r.key == stream.encode()]
    assert mine == outcome.alone(stream)
    assert len(mine) > 10
