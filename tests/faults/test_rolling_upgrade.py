"""A rolling upgrade and downgrade: workers of an earlier commit and of today in one group."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.records import Fate, Record
from tests.clusters import KafkaCluster
from tests.faults.earlier import TODAYS, CodeVersion, take_out
from tests.faults.rolling import RollingPair, SteadyCameras
from tests.faults.test_failover import (
    PARTITIONS,
    STREAMS,
    assert_chains_hold,
    assert_each_frame_is_predicted_once,
)
from tests.faults.test_low_latency import without_repeats

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

EARLIER = "eb0edda88ba7c58058a1ffee45ba178037ed7f70"  # formats without a minor schema


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> CodeVersion:
    return take_out(EARLIER, tmp_path_factory.mktemp("earlier"))


@contextmanager
def at_work(kafka: LocalKafka, folder: Path, **settings: object) -> Iterator[RollingPair]:
    seed = random.SystemRandom().randrange(1000)
    print(f"kills are drawn from seed {seed}")  # noqa: T201 - shown when the test fails
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    pair = RollingPair(cluster, folder, random.Random(seed), **settings)  # noqa: S311
    try:
        yield pair
    finally:
        pair.close()
        cluster.close()


def roll(
    pair: RollingPair, old: CodeVersion, new: CodeVersion, *, whole: bool = True
) -> SteadyCameras:
    """Upgrade workers and downgrade them; kill one each time when there is one of each version.

    If not `whole`, the second worker stays an old one.
    """
    with SteadyCameras(pair.cluster) as cameras:
        pair.put("a", old)
        pair.put("b", old)
        pair.await_both()
        for code in (new, old):
            pair.put("a", code)
            pair.await_both()
            if whole:
                pair.kill_any()
                pair.await_both()
                pair.put("b", code)
                pair.await_both()
    pair.await_end()
    return cameras


def of_sound_streams(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if (record.key or b"").decode() in STREAMS]


def test_an_upgrade_and_its_way_back_lose_and_repeat_nothing(
    kafka: LocalKafka, tmp_path: Path, old: CodeVersion
) -> None:
    with at_work(kafka, tmp_path) as pair:
        cameras = roll(pair, old, TODAYS)
        records = of_sound_streams(pair.predictions)
        assert_chains_hold(records)
        assert_each_frame_is_predicted_once(records, cameras.filmed)
        pair.require_clean([old, TODAYS])
        fates = sum((Counter(manifest.fates) for manifest in pair.manifests()), Counter())
        others = Fate.DEAD_LETTERED, Fate.DUPLICATE, Fate.LATE, Fate.ENDED
        assert all(fates[fate] for fate in others), fates


@pytest.mark.slow
def test_an_upgrade_of_workers_that_skip_and_publish_at_once_changes_no_prediction(
    kafka: LocalKafka, tmp_path: Path, old: CodeVersion
) -> None:
    modes = {"delivery": "low_latency", "overload": "latest", "checkpoint_s": 0.5}
    with at_work(kafka, tmp_path, **modes) as pair:
        roll(pair, old, TODAYS, whole=False)
        assert_chains_hold(of_sound_streams(without_repeats(pair.predictions)))
        assert sum(manifest.fates[Fate.SKIPPED] for manifest in pair.manifests()) > 0
        pair.require_clean([old, TODAYS])
