"""`longtake bundle check`: a bundle that runs here, and whether TensorRT would take it."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from engines.model.bundle import write_bundle
from tests.cli.commands import Longtake
from tests.engines import hostile
from tests.engines.bundles import LABELS, description, tiny, write_tiny


@pytest.fixture
def unfit(tmp_path: Path) -> Path:
    """A bundle that ONNX Runtime runs and TensorRT does not: it copies pixels before their cast."""
    fit = tiny(tmp_path / "fit")
    model = onnx.load_from_string(fit.encoder)
    model.graph.node[0].input[0] = "copy"
    model.graph.node.insert(0, helper.make_node("Identity", ["frames"], ["copy"], name="early"))
    words = description(cell="lstm", activation="softmax", labels=LABELS)
    return write_bundle(tmp_path / "unfit", words, encoder=model.SerializeToString(), head=fit.head)


def test_a_bundle_that_tensorrt_would_take_is_called_fit(
    longtake: Longtake, tmp_path: Path
) -> None:
    fit = write_tiny(tmp_path / "fit")
    assert re.search("fit for TensorRT +yes", longtake("bundle", "check", fit).out)
    assert longtake("bundle", "check", fit, "--json").json["refused_by_tensorrt"] == []


def test_one_that_it_would_not_take_is_a_warning_and_no_error(
    longtake: Longtake, unfit: Path
) -> None:
    ended = longtake("bundle", "check", unfit)
    assert ended.code == 0
    assert "no, because encoder.onnx: node 'early' (Identity) takes frames" in ended.out
    (why,) = longtake("bundle", "check", unfit, "--json").json["refused_by_tensorrt"]
    assert why.startswith("encoder.onnx: node 'early'")


@pytest.mark.parametrize("command", ["bundle check", "run"])
def test_a_bundle_that_asks_for_80_gigabytes_is_one_sentence(
    longtake: Longtake, tmp_path: Path, clip: Path, command: str
) -> None:
    filled = hostile.op("ConstantOfShape", ["size"], ["c"])
    weights = {"size": np.array([200_000, 100_000])}
    head = hostile.head(filled, *hostile.largest_of("c"), weights=weights, last="l")
    evil = hostile.folder(tmp_path / "evil", head_model=head)
    rest: dict[str, list[str | Path]] = {"run": [clip, "--bundle", evil], "bundle check": [evil]}
    ended = longtake(*command.split(), *rest[command])
    assert ended.code == 30
    assert "its check takes more than 3.0 GiB of memory, which is the limit" in ended.complaint
