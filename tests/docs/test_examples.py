"""The programs in examples/ do what their README says, on a real Kafka where they need one."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import av
import pytest

from engines.model.bundle import load_bundle
from pipeline.media.picture_reader import PictureReader
from pipeline.records import Reset
from pipeline.wire.units import KEYFRAME
from tests.cli.commands import Group, Start, environment
from tests.docs.pages import ROOT
from tests.pipeline.media.logged import unit_record
from tests.pipeline.media.video.encoding import FRAMES, GROUP, digest, encoded, right
from tests.pipeline.pictures import jpeg
from tests.pipeline.predictions import Tape, tape

EXAMPLES = ROOT / "examples"
PICTURES = 5


def ended(
    *words: str | Path, stdin: bytes = b"", **extra: str
) -> subprocess.CompletedProcess[bytes]:
    """Run an example from the root of the repository."""
    return subprocess.run(
        words, input=stdin, capture_output=True, cwd=ROOT, env=environment(**extra), check=False
    )


def program(name: str) -> str:
    """A program of this machine; without it the test is skipped, in CI it fails."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is missing")
    return found


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    modern = "if (!require('zlib').crc32) process.exit(1)"
    if found is None or ended(found, "-e", modern).returncode != 0:
        pytest.skip("no Node.js 20.15 or newer on this machine")
    return found


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(PICTURES):
        (folder / f"{number}.jpg").write_bytes(jpeg(48, 64, seed=number))
    return folder


def lines(made: Tape) -> list[bytes]:
    return [record.value or b"" for record in made.records]


def judged(node: str, values: Sequence[bytes]) -> tuple[int, list[str]]:
    """What the consumer in JavaScript finds: its exit code, and the end of each line."""
    said = ended(node, EXAMPLES / "consumer.mjs", stdin=b"".join(v + b"\n" for v in values))
    assert said.stderr == b""
    *found, _ = said.stdout.decode().splitlines()
    return said.returncode, [line.split(" ", 4)[4] for line in found]


def checked(values: Sequence[bytes]) -> list[str]:
    """What the consumer in Python finds."""
    code = "import sys; from consumer import Chains; c = Chains()\n"
    code += "for line in sys.stdin.buffer: print(c.check(line.rstrip(b'\\n')))"
    stdin = b"".join(value + b"\n" for value in values)
    said = ended(sys.executable, "-c", code, stdin=stdin, PYTHONPATH=str(EXAMPLES))
    assert said.stderr == b""
    return said.stdout.decode().splitlines()


def damaged() -> tuple[list[bytes], list[str]]:
    """A whole chain, then each kind of damage, and what a consumer finds."""
    made = tape(range(4))
    made.predict(10, "cam-2")
    made.predict(11, reset=Reset.GAP)
    made.predict(12, reset=Reset.ENDED)
    made.predict(13)
    value = lines(made)
    altered = value[1].replace(b'"walk"', b'"WALK"', 1)
    sequence = [*value, value[2], altered]
    return sequence, ["ok"] * 8 + ["repeat", "altered: the bytes do not give the chain"]


def test_the_consumer_in_python_finds_repeats_and_damage() -> None:
    values, wanted = damaged()
    assert checked(values) == wanted


def test_the_consumer_in_javascript_finds_the_same(node: str) -> None:
    values, wanted = damaged()
    assert judged(node, values) == (1, wanted)


def test_both_consumers_find_a_prediction_that_is_missing(node: str) -> None:
    value = lines(tape(range(4)))
    values = [value[0], value[1], value[3]]
    code, found = judged(node, values)
    assert code == 1
    assert found == checked(values)
    assert found[2].startswith("unlinked: prev should be")


FOREIGN = (b"[" * 9_000, b"\x1b[2J", b"null", b"{}", b'{"prev":1}', b'{"source":"\\u001b[2J"}')


def test_what_is_no_prediction_is_counted_and_the_consumer_goes_on(node: str) -> None:
    value = lines(tape(range(1)))[0]
    stdin = b"".join(one + b"\n" for one in (*FOREIGN, value))
    said = ended(node, EXAMPLES / "consumer.mjs", stdin=stdin)
    assert (said.returncode, said.stderr) == (1, b"")
    *found, verdict = said.stdout.decode().splitlines()
    assert verdict == f"{1 + len(FOREIGN)} predictions, {len(FOREIGN)} broken links"
    assert found[-1].endswith("walk 0.7311 ok")
    assert b"\x1b" not in said.stdout


@pytest.mark.kafka
def test_so_does_the_one_in_python(group: Group) -> None:
    value = lines(tape(range(1)))[0]
    for one in (*FOREIGN, value):
        group.cluster.write(group.topics.predictions, 0, b"cam-1", one)
    there = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.predictions)
    said = ended(sys.executable, EXAMPLES / "consumer.py", *there, "--once")
    assert (said.returncode, said.stderr) == (1, b"")
    assert said.stdout.splitlines()[-1] == b"7 predictions, 6 broken links"
    assert b"\x1b" not in said.stdout


def test_reading_may_begin_in_the_middle(node: str) -> None:
    value = lines(tape(range(4)))[2:]
    assert judged(node, value) == (0, ["first", "ok"])
    assert checked(value) == ["first", "ok"]


@pytest.mark.kafka
def test_pictures_go_in_by_python_and_come_out_by_python_and_javascript(
    group: Group, start: Start, pictures: Path, node: str
) -> None:
    start("worker", "--config", group.file)
    there = ("--bootstrap", group.cluster.config.bootstrap)
    producer = (EXAMPLES / "producer.py", "--stream", "door", "--topic", group.topics.frames)
    published = ended(sys.executable, *producer, *there, "--fps", "100", pictures)
    assert published.returncode == 0, published.stderr
    group.predictions(PICTURES)
    topic = ("--topic", group.topics.predictions)
    read = ended(sys.executable, EXAMPLES / "consumer.py", *there, *topic, "--once")
    assert (read.returncode, read.stderr) == (0, b"")
    assert read.stdout.splitlines()[-1] == b"5 predictions, 0 broken links"
    tail = start("tail", "--config", group.file, "--from-start", "--json")
    tail.says('"seq":4')
    assert judged(node, tail.log.encode().splitlines()) == (0, ["ok"] * PICTURES)


@pytest.mark.kafka
def test_pictures_go_in_by_kcat(group: Group, start: Start, pictures: Path) -> None:
    program("kcat")
    start("worker", "--config", group.file)
    files = sorted(pictures.iterdir())
    published = ended(
        EXAMPLES / "producer.sh",
        "door",
        *files,
        KAFKA=group.cluster.config.bootstrap,
        TOPIC=group.topics.frames,
    )
    assert published.returncode == 0, published.stderr
    values = [record.value or b"" for record in group.predictions(PICTURES)]
    assert checked(values) == ["ok"] * PICTURES
    assert [f'"seq":{n},'.encode() in value for n, value in enumerate(values)] == [True] * PICTURES


def film(group: Group, *, first: int = 0) -> list[bytes]:
    """Publish the units of one stream to partition 0, with another stream in partition 1."""
    units = list(encoded("cabac")[first:])
    for n, unit in enumerate(units):
        record = unit_record(n, unit, seq=n, stream="gate")
        mark = ((KEYFRAME, b"1"),) if (first + n) % GROUP == 0 else ()
        group.cluster.publish(0, record.key, unit, (*record.headers, *mark))
    group.cluster.publish(1, b"door", jpeg(16, 24, seed=1))
    return units


def played(stream: bytes) -> list[str]:
    """The pictures that a player finds in raw H.264: libav's demuxer is that of ffmpeg."""
    with av.open(io.BytesIO(stream), "r", format="h264") as container:
        return [digest(frame) for frame in container.decode(video=0)]


@pytest.mark.kafka
def test_pictures_and_units_become_arrays(group: Group) -> None:
    film(group, first=5)
    there = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
    read = ended(sys.executable, EXAMPLES / "pictures.py", *there, "--once")
    assert (read.returncode, read.stderr) == (0, b"")
    lines = sorted(read.stdout.decode().splitlines())
    assert lines[0].startswith("door 1 0: 24 x 16, mean colour 1")
    assert sum(line.endswith(": unkeyed") for line in lines) == 5
    assert sum("96 x 64, mean colour" in line for line in lines) == FRAMES - GROUP


@pytest.mark.kafka
def test_the_units_of_one_stream_go_to_a_player(group: Group) -> None:
    film(group, first=5)
    there = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
    read = ended(sys.executable, EXAMPLES / "units.py", "--stream", "gate", *there, "--once")
    assert (read.returncode, read.stderr) == (0, b"")
    assert played(read.stdout) == [right("cabac")[n] for n in range(GROUP, FRAMES)]


@pytest.mark.kafka
def test_kcat_lists_keyframes_and_hands_units_to_a_player(group: Group) -> None:
    film(group)
    kcat = (program("kcat"), "-C", "-q", "-b", group.cluster.config.bootstrap, "-e")
    topic = ("-t", group.topics.frames)
    listed = ended(*kcat, *topic, "-f", "%k %p %o %h\\n").stdout.decode().splitlines()
    keyframes = [line.split()[:3] for line in listed if "keyframe=1" in line]
    assert keyframes == [["gate", "0", str(n)] for n in range(0, FRAMES, GROUP)]
    units = ended(*kcat, *topic, "-p", "0", "-o", "20", "-f", "%s").stdout
    assert units == b"".join(encoded("cabac")[20:])
    assert played(units) == [right("cabac")[n] for n in range(20, FRAMES)]


@pytest.mark.kafka
def test_kcat_publishes_a_file_that_holds_one_unit(group: Group, tmp_path: Path) -> None:
    (tmp_path / "unit.h264").write_bytes(encoded("cabac")[0])
    kcat = (program("kcat"), "-P", "-b", group.cluster.config.bootstrap, "-k", "gate")
    named = ("-t", group.topics.frames, "-H", "content-type=video/h264", "-H", "seq=0")
    assert ended(*kcat, *named, tmp_path / "unit.h264").returncode == 0
    (record,) = group.frames(1)
    found = PictureReader().follow(record)
    assert found.picture is not None
    assert digest(found.picture) == right("cabac")[0]


@pytest.mark.skipif(
    not all(find_spec(name) for name in ("torch", "onnxscript")),
    reason="the [train] extra is not installed",
)
def test_the_model_becomes_a_bundle(tmp_path: Path) -> None:
    made = ended(sys.executable, EXAMPLES / "model.py", tmp_path / "mine", PYTHONPATH=str(ROOT))
    assert made.returncode == 0, made.stderr
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.labels == ("nobody", "somebody")
    assert [spec.shape for spec in bundle.state] == [(32,)]
