"""A Kafka client that has nothing in common with ours talks to a worker, and understands it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import Group, Start
from tests.pipeline.pictures import jpeg

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module", autouse=True)
def _kcat() -> None:
    if shutil.which("kcat") is None:
        why = "kcat is missing; tests/setup-system.sh installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def kcat(group: Group, *words: str | Path) -> str:
    command = ["kcat", "-b", group.cluster.config.bootstrap, *words]
    ended = subprocess.run(command, capture_output=True, timeout=30, encoding="utf-8", check=True)
    return ended.stdout


def test_pictures_packed_in_every_codec_are_predicted_like_a_plain_one(
    group: Group, start: Start, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(jpeg(48, 64, seed=1))
    for codec in CODECS:
        kcat(group, "-P", "-t", group.topics.frames, "-k", codec, "-p", "0", "-z", codec, picture)
    start("worker", "--config", group.file)
    predictions = [json.loads(record.value or b"") for record in group.predictions(len(CODECS))]
    assert [said["stream"] for said in predictions] == list(CODECS)
    assert all(said["scores"] == predictions[0]["scores"] for said in predictions)


def test_a_picture_that_kcat_publishes_gives_a_prediction_that_kcat_reads(
    group: Group, start: Start, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(jpeg(48, 64, seed=1))
    start("worker", "--config", group.file)
    same_place = ("-X", "topic.partitioner=murmur2_random")  # as Java and kafka-python choose it
    kcat(group, "-P", "-t", group.topics.frames, "-k", "cam-1", *same_place, picture)
    committed = ("-X", "isolation.level=read_committed", "-o", "beginning", "-c", "1")
    line = kcat(group, "-C", "-t", group.topics.predictions, *committed, "-f", "%k %p %s")
    key, partition, value = line.split(" ", 2)
    prediction = json.loads(value)
    assert (key, prediction["stream"], prediction["seq"]) == ("cam-1", "cam-1", None)
    assert prediction["source"] == {"partition": int(partition), "offset": 0}
    assert prediction["memory"]["reset"] == "new"
