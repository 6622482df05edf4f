"""Records that others wrote into our topics: no command crashes of them, on a real Kafka."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.commands import Group, Longtake, Start
from tests.cli.terminals import HOSTILE, controls, on_a_terminal
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg
from tests.pipeline.predictions import Tape, resealed

pytestmark = pytest.mark.kafka


def forged(old: bytes, new: bytes) -> bytes:
    """A prediction whose chain is right, with another value in a field."""
    value = Tape().predict(1, "evil").value or b""
    assert old in value
    return resealed(value.replace(old, new))


FOREIGN = (
    b"[" * 200_000,
    b'{"memory":{"frames":' + b"9" * 5_000 + b"}}",
    forged(b'"confidence":0.', b'"confidence":1000000000.'),
    forged(b'"frames":0', b'"frames":-1'),
    (Tape().predict(1, "evil").value or b"").replace(b'"age_s":0.000', b'"age_s":NaN'),
)
STATE = (
    (b"m", b'{"a":' + b"[" * 100_000),
    (b"m", b'{"schema":1,"first_offset":0,"next_offset":"5"}'),
    (b"m", b'{"schema":2}'),
)


@pytest.fixture
def soiled(group: Group, start: Start) -> Group:
    """A group with six predictions, foreign ones among them."""
    worker = start("worker", "--config", group.file).ready()
    for n in range(6):
        group.cluster.publish(0, b"cam-0", jpeg(16, 16, seed=n))
    group.predictions(6)
    for value in FOREIGN:
        group.cluster.write(group.topics.predictions, 0, b"evil", value)
    worker.end(signal.SIGTERM)
    return group


def test_an_audit_counts_foreign_predictions_and_goes_on(soiled: Group, longtake: Longtake) -> None:
    ended = longtake("audit", "--config", soiled.file, "--json")
    found = [f["kind"] for life in ended.json["lives"] for f in life["findings"]]
    assert (ended.code, ended.err) == (1, "")
    assert found == ["unreadable"] * len(FOREIGN)
    assert sum(life["predictions"] for life in ended.json["lives"]) == 6


def test_a_replay_counts_foreign_predictions_and_goes_on(soiled: Group, longtake: Longtake) -> None:
    ended = longtake("replay", "--config", soiled.file, "--diff", "--json")
    counts = ended.json["diff"]["counts"]
    assert ended.code == 1
    assert (counts["unreadable"], counts["same"]) == (len(FOREIGN), 6)
    assert "Traceback" not in ended.err


def test_a_tail_marks_foreign_predictions_and_goes_on(soiled: Group, start: Start) -> None:
    running = start("tail", "--config", soiled.file, "--from-start")
    running.says("BROKEN(.|\n)*" * len(FOREIGN))
    soiled.cluster.write(
        soiled.topics.predictions, 0, b"good", Tape().predict(1, "good").value or b""
    )
    running.says("good .* after 0 frames")
    assert running.log.count("this is no prediction: ") == len(FOREIGN)
    assert "Traceback" not in running.log


def told(label: str) -> bytes:
    """A prediction with this label, and line breaks between its fields."""
    written = b'"label":' + json.dumps(label, ensure_ascii=False).encode()
    value = Tape().predict(0, "cam-0").value or b""
    return resealed(value.replace(b'"label":"walk"', b"\r\n" + written))


@pytest.fixture
def forged_text(group: Group, start: Start) -> Group:
    """A group whose first prediction has a hostile label, under a hostile key."""
    for key in (b"cam-0", HOSTILE.encode(errors="replace")):
        group.cluster.write(group.topics.predictions, 0, key, told(HOSTILE[:-20]))
    group.cluster.write(group.topics.predictions, 0, b"x", b"{\n\x1b[2J}\r\nx")
    worker = start("worker", "--config", group.file).ready()
    group.cluster.publish(0, b"cam-0", jpeg(16, 16, seed=0))
    group.predictions(4)
    worker.end(signal.SIGTERM)
    return group


def test_hostile_text_in_predictions_reaches_neither_pipe_nor_terminal(
    forged_text: Group, tmp_path: Path
) -> None:
    other = write_tiny(tmp_path / "other", seed=1)
    group = ("--config", forged_text.file)
    for command, until in (
        (("audit", *group), b""),
        (("audit", *group, "--json"), b""),
        (("replay", *group, "--diff", "--bundle", other), b""),
        (("tail", *group, "--from-start"), b"after 0 frames  reset new\n"),
        (("tail", *group, "--from-start", "--json"), b'"cam-0","seq":null'),
    ):
        written = on_a_terminal(command, until)
        assert b"OWNED" in written or b"no prediction" in written or b"breaks" in written
        assert not controls(written)


def test_each_line_of_a_json_tail_is_an_object(forged_text: Group, start: Start) -> None:
    running = start("tail", "--config", forged_text.file, "--from-start", "--json")
    running.says('"stream":"cam-0","seq":null')
    lines = [line for line in running.log.splitlines() if "BROKEN" not in line]
    read = [json.loads(line) for line in lines]
    assert [line["label"] for line in read if "label" in line][:2] == [HOSTILE[:-20]] * 2
    assert [line["record"] for line in read if "unreadable" in line] == [
        {"partition": 0, "offset": 2}
    ]


def test_a_group_that_has_never_written_is_named(group: Group, start: Start) -> None:
    running = start("tail", "--config", group.file, "--group", "nobody")
    running.says("no worker of group nobody has written yet: topic nobody.state is missing")


@pytest.mark.parametrize(("key", "value"), STATE)
def test_foreign_state_ends_a_worker_with_21_and_its_key(
    group: Group, longtake: Longtake, key: bytes, value: bytes
) -> None:
    group.cluster.write(group.topics.state, 0, key, value)
    ended = longtake("worker", "--config", group.file)
    assert ended.code == 21
    assert f"the changelog of partition 0 cannot be read: {key!r} at offset" in ended.complaint
    assert "a bug in longtake" not in ended.err
