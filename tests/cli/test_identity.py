"""Topics made anew and a changelog that was lost, on a real Kafka: exit code 29, and the way on."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Group, Longtake, Running, Start, until, write_settings
from tests.cli.test_reset import film, worked

pytestmark = pytest.mark.kafka


def offsets(group: Group, count: int) -> list[Any]:
    return [
        json.loads(record.value or b"")["source"]["offset"] for record in group.predictions(count)
    ]


def reset_by(longtake: Longtake, command: Sequence[str | Path]) -> Any:
    """Reset, if the group is empty. Returns what was moved; None if it is not yet."""
    ended = longtake(*command, "--json")
    return ended.json if ended.code == 0 else None


def findings(longtake: Longtake, group: Group) -> str:
    """What an audit that exits with 1 has found, as a text."""
    audit = longtake("audit", "--config", group.file, "--json")
    assert audit.code == 1
    return "\n".join(one["message"] for life in audit.json["lives"] for one in life["findings"])


def warnings(worker: Running) -> list[str]:
    return [line for line in worker.log.splitlines() if " WARNING " in line]


def test_a_topic_of_frames_that_was_made_anew_stops_workers_until_a_new_life_begins(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 5)
    film(group, 1, "yard", 1)
    worked(group, start, 6)
    group.cluster.make_anew(group.topics.frames)
    film(group, 0, "gate", 8, first=5)
    ended = start("worker", "--config", group.file).ended()
    assert ended.code == 29
    assert "was deleted and made anew" in ended.complaint
    assert "its records have no fate" in findings(longtake, group)
    reset = ("reset", "partition", "--every", "--to", "earliest", "--config", group.file, "--yes")
    moved = until(lambda: reset_by(longtake, reset), "a group that has given its worker up")
    assert [(one["partition"], one["from"], one["to"]) for one in moved["moved"]] == [
        (0, 5, 0),
        (1, 1, 0),
    ]
    worked(group, start, 14)
    found = [r.partition for r in group.predictions(14)]
    assert (found.count(0), found.count(1)) == (13, 1)
    lives = longtake("audit", "--config", group.file, "--json")
    assert lives.code == 0
    assert [(p["partition"], p["life"], p["predictions"]) for p in lives.json["lives"]] == [
        (0, 1, 5),
        (0, 2, 8),
        (1, 1, 1),
        (1, 2, 0),
    ]


@pytest.mark.parametrize("count", [1, 9], ids=["shorter", "longer"])
def test_a_topic_of_frames_that_is_made_anew_under_a_worker_ends_it_with_few_words(
    group: Group, start: Start, count: int
) -> None:
    film(group, 0, "gate", 5)
    worker = start("worker", "--config", group.file).ready()
    group.predictions(5)
    group.cluster.make_anew(group.topics.frames)
    film(group, 0, "gate", count, first=5)
    ended = worker.ended()
    assert (ended.code, "was deleted and made anew" in ended.err) == (29, True)
    assert len(warnings(worker)) < 10


def test_a_lost_changelog_is_no_new_group_and_a_new_life_begins_where_the_group_was(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 4)
    worked(group, start, 4)
    film(group, 0, "gate", 4, first=4)
    group.cluster.make_anew(group.topics.state)
    ended = start("worker", "--config", group.file).ended()
    assert ended.code == 29
    assert "has committed its offset 4: the changelog is lost" in ended.complaint
    reset = ("reset", "partition", "--every", "--to", "committed", "--config", group.file, "--yes")
    until(lambda: longtake(*reset).code == 0, "a group that has given its worker up")
    worked(group, start, 8)
    assert offsets(group, 8) == list(range(8))
    assert longtake("audit", "--config", group.file).code == 0


@pytest.mark.slow
def test_a_changelog_that_is_lost_with_the_offsets_is_known_by_the_predictions(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 4)
    worked(group, start, 4)
    film(group, 0, "gate", 4, first=4)
    group.cluster.make_anew(group.topics.state)
    until(group.cluster.forget_group, "a group that has given its worker up")
    ended = start("worker", "--config", group.file).ended()
    assert ended.code == 29
    assert "has published predictions up to its offset 4: the changelog is lost" in ended.complaint
    reset = ("reset", "partition", "--every", "--config", group.file, "--yes", "--to")
    refused = longtake(*reset, "committed")
    assert "has committed no offset of partition 0; choose predicted" in refused.complaint
    until(lambda: longtake(*reset, "predicted").code == 0, "a group without its worker")
    worked(group, start, 8)
    assert offsets(group, 8) == list(range(8))
    assert longtake("audit", "--config", group.file).code == 0


@pytest.mark.slow
def test_predictions_made_anew_cost_a_worker_no_memory_and_its_readers_what_was_there(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 3)
    worked(group, start, 3)
    group.cluster.make_anew(group.topics.predictions)
    film(group, 0, "gate", 2, first=3)
    worker = start("worker", "--config", group.file).ready()
    memory = [json.loads(r.value or b"")["memory"]["frames"] for r in group.predictions(2)]
    assert memory == [3, 4]
    assert any("was deleted and made anew" in line for line in warnings(worker))
    worker.end(signal.SIGTERM)
    said = "the log holds 2 predictions, the ledger says 5; its topic took the place"
    assert said in findings(longtake, group)


@pytest.mark.slow
def test_other_rules_are_refused_then_accepted_and_a_replay_names_them(
    group: Group, start: Start, longtake: Longtake, tmp_path: Path, tiny: Path
) -> None:
    film(group, 0, "gate", 3)
    worked(group, start, 3)
    film(group, 0, "gate", 3, first=3)
    other = write_settings(
        tmp_path / "other.toml", group.cluster, bundle=str(tiny), gap_reset_s=0.05
    )
    ended = start("worker", "--config", other).ended()
    assert (ended.code, "gap_reset_s = 2; this worker has gap_reset_s = 0.05" in ended.err) == (
        29,
        True,
    )
    start("worker", "--config", other, "--changed-rules", "accept").ready()
    group.predictions(6)
    replay = longtake("replay", "--config", group.file, "--diff", "--json")
    assert replay.code == 1
    assert any("gap_reset_s = 0.05, not 2: differences" in note for note in replay.json["notes"])
    assert any("before offset 3" in note for note in replay.json["notes"])
    audit = longtake("audit", "--config", group.file)
    assert (audit.code, "before offset 3" in audit.out) == (0, True)


@pytest.mark.slow
def test_one_partition_or_all_are_moved_and_nothing_else(group: Group, longtake: Longtake) -> None:
    command = ("reset", "partition", "--to", "latest", "--config", group.file, "--yes")
    assert "name one partition, or say --every" in longtake(*command).err
    assert "name one partition, or say --every" in longtake(*command, "0", "--every").err
    assert "partition 0, 1 has no manifest" in longtake(*command, "--every").complaint
