"""The shipped samples and the shipped bundles keep the word of the bundles' training cards."""

import json
from pathlib import Path

import pytest

from engines.model.bundle import find_bundle
from tests.cli.commands import Longtake

SAMPLES = Path(__file__).parents[2] / "pipeline" / "samples"


def test_the_accuracy_on_each_sample_clip_is_what_the_card_says(longtake: Longtake) -> None:
    clips = sorted(SAMPLES.glob("*.mp4"))
    labels = [word for clip in clips for word in ("--labels", clip.with_suffix(".csv"))]
    streams = longtake("run", *clips, *labels, "--bundle", "actions", "--json").json["streams"]
    card = json.loads((find_bundle("actions") / "model.json").read_text("utf-8"))["training"]
    found = {name: stream["accuracy"] for name, stream in streams.items()}
    assert found == pytest.approx(card["sample_accuracy"], abs=0.001)
    assert list(found) == [clip.stem for clip in clips] != []


@pytest.mark.parametrize(("name", "sample"), [("languages", "session.txt"), ("strands", "bsub.fa")])
def test_the_accuracy_on_each_sample_of_letters_is_what_the_card_says(
    longtake: Longtake, name: str, sample: str
) -> None:
    path = SAMPLES / sample
    labels = path.with_suffix(".csv")
    ended = longtake("run", path, "--labels", labels, "--bundle", name, "--json")
    (stream,) = ended.json["streams"].values()
    card = json.loads((find_bundle(name) / "model.json").read_text("utf-8"))["training"]
    said = card["evaluation"][sample]
    assert stream["accuracy"] == pytest.approx(said["accuracy"], abs=0.001)
    assert stream["frames"] == said["records"] == len(labels.read_text("utf-8").splitlines()) - 1
    assert (find_bundle(name) / "ATTRIBUTION.txt").is_file()


@pytest.mark.parametrize("name", ["languages", "strands"])
def test_a_bundle_of_letters_is_small_and_its_memory_is_worth_20_points(name: str) -> None:
    folder = find_bundle(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10**6
    tests = json.loads((folder / "model.json").read_text("utf-8"))["training"]["evaluation"]
    for found in tests.values():
        assert found["accuracy"] > 0.2 + found["network_without_memory"]
