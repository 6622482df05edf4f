"""`longtake reset`: on a real Kafka, with real workers before and after."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Group, Longtake, Start, until, write_settings
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka


def film(group: Group, partition: int, stream: str, count: int, *, first: int = 0) -> None:
    """Publish frames by a clock of their own: however slow the machine, there is no gap."""
    for n in range(first, first + count):
        captured = (("captured-at", b"%d" % (1_700_000_000_000 + n * 100)),)
        group.cluster.publish(partition, stream.encode(), jpeg(16, 16, seed=n), captured)


def resets(group: Group, count: int) -> list[Any]:
    said = [json.loads(record.value or b"") for record in group.predictions(count)]
    return [(p["source"]["offset"], p["memory"]["reset"]) for p in said]


def worked(group: Group, start: Start, count: int) -> None:
    """Let a worker do all there is to do, and leave."""
    worker = start("worker", "--config", group.file).ready()
    group.predictions(count)
    assert worker.end(signal.SIGTERM)[0] == 0


# ---------------------------------------------------------------------------------------- stream


def test_a_stream_that_is_reset_starts_afresh_and_no_other(
    group: Group, start: Start, longtake: Longtake
) -> None:
    start("worker", "--config", group.file)
    film(group, 0, "gate", 2)
    film(group, 0, "yard", 2)
    group.predictions(4)
    ended = longtake("reset", "stream", "gate", "--config", group.file, "--json")
    assert ended.json == {"ended": [{"stream": "gate", "partition": 0, "offset": 4}]}
    film(group, 0, "gate", 1, first=2)
    film(group, 0, "yard", 1, first=2)
    assert resets(group, 6)[4:] == [(5, "ended"), (6, None)]


def test_an_unknown_stream_is_ended_where_the_camera_would_publish_it(
    group: Group, longtake: Longtake, clip: Any
) -> None:
    where = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
    longtake("camera", clip, "--stream", "hall", *where)
    ended = longtake("reset", "stream", "hall", "--config", group.file)
    assert ended.code == 0
    assert "hall: the group remembers no such stream" in ended.err
    *frames, last = [record for record in group.frames(21) if record.key == b"hall"]
    assert (last.value, {f.partition for f in frames}) == (None, {last.partition})


def test_a_stream_in_another_partition_than_ours_is_ended_there_with_a_warning(
    group: Group, start: Start, longtake: Longtake
) -> None:
    for partition, stream in ((0, "a"), (1, "a")):
        film(group, partition, stream, 1)
    worked(group, start, 2)
    asked = longtake("reset", "stream", "a", "--partition", "1", "--config", group.file)
    assert "a: ended in partition 1, at offset 1" in asked.err
    assert "its memory is in partition 0, 1; without --partition it is ended there" in asked.err
    ended = longtake("reset", "stream", "a", "--config", group.file)
    assert "a: ended in partition 0, at offset 1\na: ended in partition 1, at offset 2" in ended.err
    assert "its producer has another partitioner" in ended.err


def test_a_name_that_no_stream_can_have_is_refused(group: Group, longtake: Longtake) -> None:
    ended = longtake("reset", "stream", "no name", "--config", group.file)
    assert ended.code == 2
    assert "'no name'; wanted 1 to 200 characters" in ended.err


# ------------------------------------------------------------------------------------- partition


def test_a_partition_that_is_moved_back_is_worked_on_again_and_the_audit_tells_two_lives(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 5)
    film(group, 1, "yard", 3)
    worked(group, start, 8)
    command = ("reset", "partition", "0", "--config", group.file, "--yes", "--json")
    moved = longtake(*command, "--to", "earliest")
    wanted = {"partition": 0, "from": 5, "to": 0, "life": 2, "streams": 1}
    assert (moved.code, moved.json) == (0, wanted)
    start("worker", "--config", group.file).ready()
    said = [r for r in group.predictions(13) if r.partition == 0]
    assert [r.value for r in said[5:]] == [r.value for r in said[:5]]
    audit = longtake("audit", "--config", group.file, "--json")
    lives = [(p["partition"], p["life"], p["predictions"]) for p in audit.json["lives"]]
    assert (audit.code, lives) == (0, [(0, 1, 5), (0, 2, 5), (1, 1, 3)])


def test_a_partition_that_is_moved_forward_leaves_frames_out(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 2)
    worked(group, start, 2)
    film(group, 0, "gate", 3, first=2)
    moved = longtake("reset", "partition", "0", "--to", "4", "--config", group.file, "--yes")
    assert moved.code == 0
    assert "from offset 2 to 4: the memory of 1 streams is forgotten, life 2 begins" in moved.err
    start("worker", "--config", group.file)
    assert resets(group, 3) == [(0, "new"), (1, None), (4, "new")]
    assert longtake("audit", "--config", group.file).code == 0


def test_while_a_worker_is_in_the_group_no_partition_is_moved(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 1)
    start("worker", "--config", group.file, "--slot", "left").ready()
    group.predictions(1)
    command = ("reset", "partition", "0", "--to", "0", "--config", group.file, "--yes")
    refused = longtake(*command)
    assert refused.code == 24
    assert "is at work: left /127.0.0.1. Stop these workers" in refused.complaint


def test_without_a_person_to_ask_nothing_is_moved(
    group: Group, start: Start, longtake: Longtake
) -> None:
    film(group, 0, "gate", 1)
    worked(group, start, 1)
    ended = longtake("reset", "partition", "0", "--to", "0", "--config", group.file)
    assert ended.code == 2
    assert "say --yes" in ended.complaint
    assert len(longtake("audit", "--config", group.file, "--json").json["lives"]) == 2


def test_a_partition_or_a_place_that_does_not_exist_is_named(
    group: Group, start: Start, longtake: Longtake
) -> None:
    command = ("reset", "partition", "--config", group.file, "--yes")
    assert "there is no partition 7" in longtake(*command, "7", "--to", "0").complaint
    assert "partition 0 has no manifest" in longtake(*command, "0", "--to", "0").complaint
    film(group, 0, "gate", 1)
    worked(group, start, 1)
    assert "from offset 0 to 1" in longtake(*command, "0", "--to", "2").complaint


@pytest.mark.slow
def test_a_worker_that_was_frozen_while_its_partition_was_moved_goes_on_in_the_new_life(
    group: Group, start: Start, longtake: Longtake, tmp_path: Path, tiny: Path
) -> None:
    times = {"session_timeout_s": 2, "heartbeat_s": 0.2, "transaction_timeout_s": 1}
    hasty = write_settings(tmp_path / "h.toml", group.cluster, bundle=str(tiny), **times)
    worker = start("worker", "--config", hasty).ready()
    film(group, 0, "gate", 4)
    group.predictions(4)
    worker.process.send_signal(signal.SIGSTOP)
    film(group, 0, "gate", 2, first=4)
    command = ("reset", "partition", "0", "--to", "2", "--config", hasty, "--yes")
    until(lambda: longtake(*command).code == 0, "a group that has given its worker up")
    worker.process.send_signal(signal.SIGCONT)
    begun = [(0, "new"), (1, None), (2, None), (3, None)]
    assert resets(group, 8) == [*begun, (2, "new"), (3, None), (4, None), (5, None)]
    assert longtake("audit", "--config", group.file).code == 0
