"""`longtake topics grow` on a real Kafka, with live producers and a real worker."""

import json
import signal
from pathlib import Path

import pytest

from pipeline.broker.partitioner import partition_of
from tests.cli.commands import Group, Longtake, Start, until, write_settings
from tests.cli.grown import Producers, judge
from tests.engines.bundles import write_tiny

pytestmark = pytest.mark.kafka

NAMES = [f"cam-{n}" for n in range(8)]
BEFORE, AFTER = 2, 4
GROW = ("topics", "grow", "--partitions", str(AFTER), "--metadata-age", "2s", "--json")


def test_a_group_grows_under_live_cameras_and_forgets_nothing(
    group: Group, start: Start, longtake: Longtake
) -> None:
    group.file.write_text(group.file.read_text() + "gap_reset_s = 60\n")
    named = ("--config", group.file)
    worker = start("worker", *named).ready()
    cameras = Producers(group, NAMES, age_s=0.5, rate_hz=10)
    group.flowing(group.topics.predictions, 4 * len(NAMES))
    grow = start(*GROW, *named)
    grow.says(r"stop the workers of group \S+ now")
    held = "wait until `longtake topics grow` is finished"
    until(lambda: held in worker.get("/readyz")[1], "new partitions that are held")
    assert worker.end(signal.SIGTERM)[0] == 0
    ended = grow.ended()
    assert ended.code == 0, ended.err
    facts = json.loads(ended.err.splitlines()[-1])
    assert [(one["partition"], one["from"]) for one in facts["moved"]] == [(2, 0), (3, 1)]
    again = start("worker", *named).ready()
    group.flowing(group.topics.predictions, 8 * len(NAMES))
    cameras.stop()
    places = judge(group, NAMES)
    assert again.end(signal.SIGTERM)[0] == 0
    moving = [name for name in NAMES if partition_of(name.encode(), AFTER) >= BEFORE]
    assert [name for name in NAMES if len(places[name]) == 2] == moving != []
    audit = longtake("audit", *named)
    assert (audit.code, "grown from 2 to 4 partitions at" in audit.out) == (0, True), audit.out
    replay = longtake("replay", "--diff", *named)
    assert replay.code == 0, replay.err
    assert "partition 2: it began with streams that had moved from partition 0" in replay.err
    finished = longtake(*GROW, *named)
    assert (finished.code, "it is grown already" in finished.err) == (0, True)


@pytest.mark.slow
def test_a_topic_that_was_grown_by_hand_ends_a_running_worker_with_the_way_out(
    group: Group, start: Start
) -> None:
    worker = start("worker", "--config", group.file).ready()
    group.cluster.grow(group.topics.frames, AFTER)
    ended = worker.ended()
    assert ended.code == 12
    assert "`longtake topics grow --partitions 4` keeps the memory of streams" in ended.complaint


@pytest.mark.slow
def test_of_two_groups_on_the_same_frames_each_is_marked_before_the_frames_grow(
    group: Group, start: Start, longtake: Longtake, tmp_path: Path
) -> None:
    name = f"{group.cluster.config.group}.second"
    own = {"group": name, "predictions_topic": f"{name}.p", "dead_letters_topic": f"{name}.d"}
    bundle = {"bundle": str(tmp_path / "tiny")}
    write_tiny(tmp_path / "tiny")
    second = write_settings(tmp_path / "second.toml", group.cluster, **own, **bundle)
    assert longtake("topics", "create", "--config", second).code == 0
    for file in (group.file, second):
        worker = start("worker", "--config", file).ready()
        assert worker.end(signal.SIGTERM)[0] == 0
    refused = longtake(*GROW, "--config", group.file)
    assert refused.code == 24
    assert f"{name} read {group.topics.frames} too" in refused.complaint
    assert longtake(*GROW, "--prepare", "--config", second).code == 0
    for file in (group.file, second):
        grown = longtake(*GROW, "--config", file)
        assert grown.code == 0, grown.err
        assert [one["partition"] for one in grown.json["moved"]] == [2, 3]
        assert longtake("topics", "check", "--config", file).code == 0
    for file in (group.file, second):
        start("worker", "--config", file).ready()
