"""Low latency: predictions are published at once; a crash repeats some and changes none."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from tests.clusters import KafkaCluster
from tests.faults.test_failover import (
    PARTITIONS,
    Crew,
    assert_chains_hold,
    assert_nothing_is_missing,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
RARELY_S = 30.0  # between checkpoints: but for the first, no prediction is committed before a kill


@pytest.fixture
def crew(kafka: LocalKafka, tmp_path: Path) -> Iterator[Crew]:
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    made = Crew(cluster, tmp_path)
    made.environment |= {"LONGTAKE_DELIVERY": "low_latency", "LONGTAKE_CHECKPOINT_S": f"{RARELY_S}"}
    yield made
    made.close()
    cluster.close()


def without_repeats(records: Sequence[Record]) -> list[Record]:
    """Drop repeats by id, as readers do; a repeat must have the same bytes."""
    kept: dict[tuple[bytes | None, int], Record] = {}
    for record in records:
        place = (record.key, int(json.loads(record.value or b"")["source"]["offset"]))
        assert kept.setdefault(place, record).value == record.value
    return list(kept.values())


def await_each_frame(crew: Crew) -> list[Record]:
    """Wait until each frame so far has a prediction; return all of them, repeats too."""
    published: list[Record] = []
    while len(without_repeats(published)) < crew.filmed:
        published = crew.await_predictions(crew.filmed)
    return published


def test_workers_killed_between_checkpoints_repeat_predictions_and_change_none(crew: Crew) -> None:
    crew.launch("one", "--slot", "one")
    for _ in range(4):
        crew.film(1)
        await_each_frame(crew)  # and with them the first checkpoint, which does not wait
        crew.film(15)
        await_each_frame(crew)
        crew.kill("one")
        crew.launch("one", "--slot", "one")
    crew.film(15)
    published = await_each_frame(crew)
    crew.processes["one"].terminate()  # its last checkpoint is in the log before it ends
    assert crew.processes["one"].wait(20) == 0
    records = without_repeats(published)
    assert len(published) > len(records), "nothing was repeated: this proves little"
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)
