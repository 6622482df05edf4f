"""Errors that a user meets on a real Kafka. What is in the log stays there."""

import json
from pathlib import Path

import pytest

from pipeline.local.cluster import LocalKafka
from tests.cli.commands import Group, Longtake, Start, write_settings
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka


def test_a_topic_that_is_missing(group: Group, longtake: Longtake, tmp_path: Path) -> None:
    file = write_settings(tmp_path / "l.toml", group.cluster, frames_topic="nobody.made.this")
    ended = longtake("worker", "--config", file)
    assert ended.code == 11
    assert "topic nobody.made.this is missing" in ended.complaint
    assert "`longtake topics create` makes it" in ended.complaint


def test_a_camera_finds_its_topic_missing(
    kafka: LocalKafka, longtake: Longtake, clip: Path
) -> None:
    words = ("--stream", "cam-1", "--bootstrap", kafka.bootstrap, "--topic", "nobody.made.this")
    ended = longtake("camera", clip, *words)
    assert ended.code == 11
    assert "topic nobody.made.this is missing; `longtake topics create`" in ended.complaint


def test_partition_counts_that_differ(group: Group, longtake: Longtake) -> None:
    group.cluster.grow(group.topics.frames, 4)
    for command in (["worker"], ["topics", "check"]):
        ended = longtake(*command, "--config", group.file)
        assert ended.code == 12
        wanted = f"topic {group.topics.state} has 2 partitions, {group.topics.frames} has 4"
        assert wanted in ended.complaint
        assert "`longtake topics grow --partitions 4` keeps the memory" in ended.complaint


def test_a_changelog_with_more_partitions_than_frames_is_a_growth_that_waits(
    group: Group, longtake: Longtake, start: Start
) -> None:
    group.cluster.grow(group.topics.state, 4)
    ended = longtake("topics", "check", "--config", group.file)
    assert ended.code == 12
    wanted = f"topic {group.topics.state}: has 4 partitions: more than frames, so `longtake topics"
    assert wanted in ended.complaint
    start("worker", "--config", group.file).ready()


def test_a_metrics_port_that_is_taken(group: Group, longtake: Longtake, taken: str) -> None:
    ended = longtake("worker", "--config", group.file, "--metrics-port", taken)
    assert ended.code == 17
    assert f"127.0.0.1:{taken}: Address already in use; choose another" in ended.complaint
    assert "--metrics-port" in ended.complaint


def test_memory_of_another_bundle_is_refused_until_it_is_given_up(
    group: Group, longtake: Longtake, start: Start, tmp_path: Path
) -> None:
    first = start("worker", "--config", group.file).ready()
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=1))
    group.predictions(1)
    first.end(15)
    other = ["--config", group.file, "--bundle", write_tiny(tmp_path / "other", name="other")]
    refused = longtake("worker", *other)
    assert refused.code == 13
    assert "holds memory of bundle" in refused.complaint
    assert "--foreign-state reset" in refused.complaint
    start("worker", *other, "--foreign-state", "reset").ready()
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=2))
    before, after = [json.loads(record.value or b"") for record in group.predictions(2)]
    assert after["memory"]["reset"] == "bundle"
    assert after["prev"] == before["chain"]


def test_a_record_that_is_no_picture_is_put_aside_and_the_work_goes_on(
    group: Group, start: Start
) -> None:
    group.cluster.publish(0, b"cam-1", b"Dear reader,")
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=1), (("seq", b"one"),))
    group.cluster.publish(0, b"cam-1", jpeg(16, 16, seed=2))
    start("worker", "--config", group.file)
    (prediction,) = group.predictions(1)
    assert json.loads(prediction.value or b"")["source"]["offset"] == 2
    letters = sorted(group.dead_letters(2), key=lambda r: dict(r.headers)["source-offset"])
    assert [dict(r.headers)["reason"] for r in letters] == [b"undecodable", b"malformed"]
    assert (letters[0].key, letters[0].value) == (b"cam-1", b"Dear reader,")
    assert dict(letters[1].headers)["error"].startswith(b"header seq is 'one'")
