"""Two groups, one topic: refused with the way out, left out by readers, taken over on purpose."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from pipeline.wire.belongings.ownership import GROUP_HEADER, publisher_of
from tests.cli.commands import Group, Longtake, Running, Start, until, write_settings
from tests.clusters import KafkaCluster
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka

FRAMES = 6
AT_WORK, FOREIGN = 24, 35


def film(cluster: KafkaCluster) -> None:
    """Publish pictures of one camera, and one record that is no picture."""
    for n in range(FRAMES):
        captured = b"%d" % (1_700_000_000_000 + 100 * n)
        cluster.publish(
            n % 2, b"cam-%d" % (n % 2), jpeg(16, 16, seed=n), (("captured-at", captured),)
        )
    cluster.publish(0, b"cam-0", b"no picture")


@contextmanager
def worked(kafka: LocalKafka, folder: Path, bundle: Path) -> Iterator[Group]:
    """A group that has predicted, and whose worker has ended."""
    cluster = KafkaCluster(kafka.connection, 2)
    group = Group(cluster, folder, bundle)
    film(cluster)
    worker = Running(folder / "first.log", "worker", "--config", group.file)
    group.predictions(FRAMES)
    group.dead_letters(1)
    assert worker.end(signal.SIGTERM)[0] == 0, worker.log
    yield group
    cluster.close()


@pytest.fixture
def first(kafka: LocalKafka, tmp_path: Path, tiny: Path) -> Iterator[Group]:
    with worked(kafka, tmp_path, tiny) as group:
        yield group


@pytest.fixture
def second(first: Group) -> tuple[str | Path, ...]:
    """The options of another group with the topics of the first, which has its changelog."""
    return ("--config", first.file, "--group", f"{first.cluster.config.group}.second")


def holds_all(cluster: KafkaCluster, topic: str) -> bool:
    return len(cluster.committed(topic)) == FRAMES


def lines_of(told: str) -> list[list[str]]:
    """Return the command lines in a message, without the program's name."""
    lines = [line.split() for line in told.splitlines()]
    return [words[1:] for words in lines if words[:1] == ["longtake"]]


def test_a_second_group_is_refused_and_the_lines_to_type_give_it_topics_of_its_own(
    first: Group, second: tuple[str | Path, ...], longtake: Longtake, start: Start
) -> None:
    created = longtake("topics", "create", *second)
    assert created.code == FOREIGN
    assert longtake("topics", "check", *second).code == FOREIGN
    worker = start("worker", *second).ended()
    assert worker.code == FOREIGN
    name = first.cluster.config.group
    assert f"topic {name}.predictions belongs to group {name}" in worker.err
    create, work, _ = lines_of(worker.err)
    assert longtake(*create, "--config", first.file).code == 0
    own = start(*work, "--config", first.file).ready()
    predictions, letters = f"{name}.second.predictions", f"{name}.second.dlq"
    until(lambda: len(first.cluster.committed(predictions)) == FRAMES, "its predictions")
    assert own.end(signal.SIGTERM)[0] == 0
    for topic, owner in ((predictions, f"{name}.second"), (first.topics.predictions, name)):
        assert {publisher_of(record) for record in first.cluster.committed(topic)} == {owner}
    audit = longtake("audit", *work[1:], "--config", first.file, "--json")
    assert (audit.code, audit.json["breaks"], audit.json["others"]) == (0, 0, [])
    assert len(first.cluster.committed(letters)) == 1
    assert longtake("audit", "--config", first.file).code == 0


@pytest.mark.slow
def test_topics_are_taken_over_when_no_worker_of_their_group_is_at_work(
    first: Group, second: tuple[str | Path, ...], longtake: Longtake, start: Start
) -> None:
    longtake("topics", "create", *second)
    worker = start("worker", "--config", first.file).ready()
    busy = longtake("topics", "take", *second, "--yes")
    assert busy.code == AT_WORK
    assert worker.end(signal.SIGTERM)[0] == 0
    unasked = longtake("topics", "take", *second)
    assert unasked.code == 2
    assert "Nobody is there to be asked: say --yes" in unasked.complaint
    taken = longtake("topics", "take", *second, "--yes", "--json")
    name = first.cluster.config.group
    assert taken.json["topics"][first.topics.predictions] == {
        "group": f"{name}.second",
        "before": name,
    }
    assert longtake("topics", "check", *second).code == 0
    assert start("worker", "--config", first.file).ended().code == FOREIGN
    heir = start("worker", *second).ready()
    assert f"ends with a prediction of group {name}" in heir.log
    film(first.cluster)
    until(lambda: len(first.cluster.committed(first.topics.predictions)) >= 2 * FRAMES, "more")
    assert heir.end(signal.SIGTERM)[0] == 0
    told = longtake("audit", *second, "--json").json
    assert told["breaks"] == 0
    assert {one["group"] for one in told["others"]} == {name}


@pytest.fixture(scope="module")
def mixed(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory, tiny: Path
) -> Iterator[Group]:
    """A group in whose topics another one has published the same again."""
    with worked(kafka, tmp_path_factory.mktemp("mixed"), tiny) as group:
        cluster = group.cluster
        for topic in (cluster.topics.predictions, cluster.topics.dead_letters):
            for record in cluster.committed(topic):
                headers = [one for one in record.headers if one[0] != GROUP_HEADER]
                named = ((GROUP_HEADER, b"other"), *headers)
                cluster.write(topic, record.partition, record.key, record.value, named)
        yield group


def test_an_audit_counts_what_another_group_published_and_finds_no_break_in_it(
    mixed: Group, longtake: Longtake
) -> None:
    told = longtake("audit", "--config", mixed.file)
    assert told.code == 0, told.out
    assert f"group other has published {FRAMES} predictions into the same topic" in told.out
    assert "no break" in told.out
    others = longtake("audit", "--config", mixed.file, "--json").json["others"]
    assert others == [
        {"group": "other", "kind": "predictions", "records": FRAMES},
        {"group": "other", "kind": "dead_letters", "records": 1},
    ]


def test_a_replay_compares_only_what_its_own_group_published(
    mixed: Group, longtake: Longtake
) -> None:
    told = longtake("replay", "--diff", "--config", mixed.file, "--json")
    assert told.code == 0, told.out
    assert told.json["other_groups"] == {"other": FRAMES}
    assert f"group other has published {FRAMES} predictions into the same topic" in told.err


def test_tail_shows_one_group_and_says_that_there_is_another(mixed: Group, start: Start) -> None:
    tail = start("tail", "--from-start", "--config", mixed.file)
    tail.says("group other publishes into the same topic: it is left out")
    until(lambda: tail.log.count("after ") >= FRAMES, "its predictions")
    tail.process.send_signal(signal.SIGINT)
    tail.process.wait(30)
    assert tail.log.count("after ") == FRAMES
    assert "BROKEN" not in tail.log


def test_tail_without_a_group_says_that_there_are_two(
    mixed: Group, start: Start, tmp_path: Path
) -> None:
    file = write_settings(tmp_path / "no_group.toml", mixed.cluster, group=None)
    tail = start("tail", "--from-start", "--config", file)
    tail.says("groups .* publish into the same topic, which breaks chains: choose one")


@pytest.mark.slow
def test_names_that_a_dot_joins_to_one_do_not_fence_each_other(
    kafka: LocalKafka, tmp_path: Path, tiny: Path, start: Start, longtake: Longtake
) -> None:
    cluster = KafkaCluster(kafka.connection, 2)
    name = cluster.config.group
    own = {"group": f"{name}.by", "slot": "here"}
    own |= {"predictions_topic": f"{name}.by.p", "dead_letters_topic": f"{name}.by.d"}
    files = [
        write_settings(tmp_path / f"{n}.toml", cluster, bundle=str(tiny), **settings)
        for n, settings in enumerate(({"slot": "by.here"}, own))
    ]
    assert longtake("topics", "create", "--config", files[1]).code == 0
    workers = [start("worker", "--config", file).ready() for file in files]
    film(cluster)
    for topic in (cluster.topics.predictions, f"{name}.by.p"):
        until(partial(holds_all, cluster, topic), f"records of {topic}")
    fenced = 'longtake_commit_failures_total{error="FencedError"}'
    assert [worker.metric(fenced) for worker in workers] == [0, 0]
    assert [worker.end(signal.SIGTERM)[0] for worker in workers] == [0, 0]
    cluster.close()
