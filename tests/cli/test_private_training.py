"""`train` and `evaluate` reach nothing, and write nothing into the home folder but our cache."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.watched import Watch, assert_private
from tests.engines.bundles import write_tiny
from tests.moving import write_folder

LONGTAKE = (sys.executable, "-m", "pipeline")
TINY = ("--backbone", "seed", "--size", "22", "--rate-hz", "10", "--head", "gru", "--epochs", "1")
PATIENCE_S = 500.0

pytestmark = [
    pytest.mark.skipif(
        not all(find_spec(name) for name in ("torch", "timm", "onnxscript", "sklearn", "numba")),
        reason="the [train] extra is not installed",
    ),
    pytest.mark.timeout(600),
]


def test_train_reaches_nothing(watch: Watch, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "clips", videos=4, frames=20)
    train = watch(*LONGTAKE, "train", data, "--out", "mine", *TINY)
    assert_private("train", train.seen(patience_s=PATIENCE_S), told=set())
    assert (train.folder / "mine" / "model.json").exists()


def test_evaluate_reaches_nothing(watch: Watch, tmp_path: Path) -> None:
    from engines.train.people.streams import ACTIONS

    bundle = write_tiny(tmp_path / "tiny", labels=ACTIONS)
    options = ("--streams", "2", "--seed", "2000", "--html", "report.html")
    evaluate = watch(*LONGTAKE, "evaluate", bundle, *options)
    assert_private("evaluate", evaluate.seen(patience_s=PATIENCE_S), told=set())
    assert (evaluate.folder / "report.html").exists()
