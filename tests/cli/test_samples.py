"""The shipped clips and the shipped bundle keep the word of the bundle's training card."""

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
