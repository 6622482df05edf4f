"""`longtake tail`: what a person and a pipe see of the predictions."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline.media.picture_reader import PictureReader
from pipeline.media.sources import encode_jpeg
from tests.cli.commands import PATIENCE_S, SCRIPT, Group, Longtake, Start, environment, until
from tests.pipeline.media.logged import unit_record
from tests.pipeline.media.video.encoding import encoded
from tests.pipeline.pictures import jpeg
from tests.pipeline.predictions import Tape, tape

pytestmark = pytest.mark.kafka


def publish(group: Group, made: Tape) -> None:
    for record in made.records:
        group.cluster.write(group.topics.predictions, record.partition, record.key, record.value)


def test_what_is_in_the_log_is_shown_one_line_each(group: Group, start: Start) -> None:
    publish(group, tape(range(2)))
    running = start("tail", "--config", group.file, "--from-start")
    running.says("after 1 frames")
    assert running.log.splitlines() == [
        "1970-01-01T00:00:01.000Z  cam-1         walk          0.73  after 0 frames  reset new",
        "1970-01-01T00:00:01.000Z  cam-1         walk          0.73  after 1 frames",
    ]


def test_without_from_start_only_what_comes_is_shown(group: Group, start: Start) -> None:
    made = tape(range(30))
    publish(group, made)
    running = start("tail", "--config", group.file)

    def shown() -> bool:
        publish(group, tape(range(90, 91)))
        return "after 0 frames" in running.log

    until(shown, "a prediction that came while we looked")
    assert "after 29 frames" not in running.log


def test_json_is_the_value_as_it_is(group: Group, start: Start) -> None:
    made = tape(range(3))
    publish(group, made)
    running = start("tail", "--config", group.file, "--from-start", "--json")
    until(lambda: len(running.log.splitlines()) == 3, "three lines")
    assert running.log.encode() == b"".join((r.value or b"") + b"\n" for r in made.records)


def test_a_broken_link_is_marked(group: Group, start: Start) -> None:
    made = tape(range(4))
    del made.records[2]
    publish(group, made)
    running = start("tail", "--config", group.file, "--from-start")
    running.says(r"after 3 frames  BROKEN: prev is [0-9a-f]{8}, wanted [0-9a-f]{8}")
    assert running.log.count("BROKEN") == 1


def test_dedup_leaves_repeats_out(group: Group, start: Start) -> None:
    made = tape(range(3))
    made.records += made.records[1:]
    made.predict(3)
    publish(group, made)
    running = start("tail", "--config", group.file, "--from-start", "--dedup", "--json")
    running.says('"offset":3')
    offsets = [json.loads(line)["source"]["offset"] for line in running.log.splitlines()]
    assert offsets == [0, 1, 2, 3]


def test_only_the_wanted_streams_are_shown(group: Group, start: Start) -> None:
    made = Tape()
    for offset, stream in enumerate(["gate", "yard", "hall", "gate"]):
        made.predict(offset, stream)
    publish(group, made)
    wanted = ("--stream", "gate", "--stream", "hall")
    running = start("tail", "--config", group.file, "--from-start", "--json", *wanted)
    running.says('"offset":3')
    assert [json.loads(line)["stream"] for line in running.log.splitlines()] == [
        "gate",
        "hall",
        "gate",
    ]


def test_ctrl_c_ends_it_without_a_word(group: Group, start: Start) -> None:
    publish(group, tape(range(1)))
    running = start("tail", "--config", group.file, "--from-start")
    running.says("cam-1")
    assert running.end(signal.SIGINT)[0] == 130
    assert len(running.log.splitlines()) == 1


def test_a_pipe_gets_whole_lines_and_ends_it_without_a_word_when_it_closes(group: Group) -> None:
    publish(group, tape(range(3)))
    command = [str(SCRIPT), "tail", "--config", str(group.file), "--from-start"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(COLUMNS="20")
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert tail.stdout.readline().endswith(b"reset new\n")  # whole, however narrow we are
        tail.stdout.close()
        publish(group, tape(range(3)))
        assert tail.wait(PATIENCE_S) == 141
        assert tail.stderr.read() == b""


def film(group: Group, name: str, *, first: int = 0) -> list[bytes]:
    """Publish some units of a stream and a picture, and a prediction of each."""
    values = [*encoded(name)[first : first + 6], jpeg(16, 24, seed=first)]
    for record in [unit_record(n, value, seq=first + n) for n, value in enumerate(values)]:
        group.cluster.publish(0, record.key, record.value, record.headers)
    publish(group, tape(range(len(values))))
    return values


def test_the_picture_of_each_prediction_is_saved(
    group: Group, start: Start, tmp_path: Path
) -> None:
    values = film(group, "cabac")
    tail = ("tail", "--config", group.file, "--from-start", "--pictures", tmp_path / "new")
    running = start(*tail)
    running.says("after 6 frames")
    names = [f"cam-1-0-{n}.jpg" for n in range(7)]
    assert [line.split("  ")[-1] for line in running.log.splitlines()] == names
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == names
    assert (tmp_path / "new" / names[6]).read_bytes() == values[6]
    reader = PictureReader()
    first = [reader.follow(unit_record(n, unit, seq=n)).picture for n, unit in enumerate(values)]
    assert (tmp_path / "new" / names[5]).read_bytes() == encode_jpeg(first[5])  # type: ignore[arg-type]


def test_pictures_that_are_missing_are_told_beside_json(
    group: Group, start: Start, tmp_path: Path
) -> None:
    film(group, "cabac", first=3)
    tail = ("tail", "--config", group.file, "--from-start", "--pictures", tmp_path / "new")
    running = start(*tail, "--json")
    until(lambda: running.log.count('"label"') == 7, "seven predictions")
    assert running.log.count("  no picture: unkeyed\n") == 6


def test_the_folder_of_pictures_is_bounded(group: Group, start: Start, tmp_path: Path) -> None:
    film(group, "cabac")
    tail = ("tail", "--config", group.file, "--from-start", "--pictures", tmp_path / "new")
    running = start(*tail, "--pictures-most", "3")
    running.says("after 6 frames")
    assert len(list((tmp_path / "new").iterdir())) == 3
    assert running.log.count("has 3 files of 0.0 MiB: no more are saved (--pictures-most") == 1
    assert running.log.count("no picture: the folder is full") == 4


def test_a_folder_of_pictures_that_others_can_see_is_refused(
    group: Group, longtake: Longtake, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir(0o755)
    ended = longtake("tail", "--config", group.file, "--pictures", "shared")
    assert ended.code == 19
    assert "cannot write pictures to shared: others can look into it" in ended.complaint


def test_a_topic_that_is_missing_is_named(group: Group, longtake: Longtake) -> None:
    nowhere = {"LONGTAKE_PREDICTIONS_TOPIC": "nobody.made.this"}
    ended = longtake("tail", "--bootstrap", group.cluster.config.bootstrap, **nowhere)
    assert ended.code == 11
    assert "topic nobody.made.this is missing; `longtake topics create`" in ended.complaint
