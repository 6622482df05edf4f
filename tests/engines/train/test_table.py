"""The tables of encoders and heads: what is counted is right, and lands between the markers."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="measuring needs the extra longtake[train]")
pytest.importorskip("timm", reason="measuring needs the extra longtake[train]")
pytest.importorskip("numba", reason="poses need the extra longtake[train]")
pytest.importorskip("onnxscript", reason="measuring needs the extra longtake[train]")

import torch
from rich.progress import Progress
from torch import nn

from engines.train.actions.posed import pose
from engines.train.cost_table import (
    BEGIN,
    END,
    BackboneCost,
    HeadCost,
    macs_of,
    measure_backbone,
    measure_head,
    trained_on,
    write_tables,
)
from engines.train.heads import HEADS

from .rendered import actors

SEED = BackboneCost("seed", "224 x 224", 128, 11_169_216, 1_410_000_000, 41.6, 55.4)
LSTM = HeadCost("lstm", 141_000, 140_000, 1024, 9_123.0, 61_000.0, (0.91234, 0.95))
GRU = HeadCost("gru", 900, 800, 512, 9_000.0, 60_000.0, (0.5, 0.6))


def test_macs_are_those_of_the_formulas() -> None:
    dense, convolution = nn.Linear(20, 30), nn.Conv2d(3, 8, 5, stride=2)
    assert macs_of(lambda: dense(torch.zeros(1, 20))) == 20 * 30
    assert macs_of(lambda: convolution(torch.zeros(1, 3, 21, 21))) == 3 * 5 * 5 * 8 * 9 * 9


def test_a_head_is_measured_and_its_accuracy_is_what_training_it_gave() -> None:
    trained = []

    def train(name: str) -> tuple[float, float]:
        trained.append(name)
        return 0.75, 0.8

    cost = measure_head("lstm", seconds=0.01, train=train)
    assert (trained, cost.accuracy) == (["lstm"], (0.75, 0.8))
    assert cost.state_bytes == 2 * 128 * 4
    assert cost.macs == 62 * 128 + 2 * 4 * 128 * 128 + 128 * 10  # embedding, four gates, classes
    assert cost.parameters > cost.macs  # the biases and the norm besides
    assert cost.batched_hz > cost.alone_hz > 0


def test_an_encoder_is_measured() -> None:
    cost = measure_backbone("skeleton", seconds=0.01)
    assert (cost.pictures, cost.features) == ("96 x 96", 64)
    assert cost.macs > cost.parameters > 100_000  # kernels are used at every place
    assert min(cost.alone_hz, cost.batched_hz) > 0


def test_tables_replace_what_is_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    page.write_text(f"# Models\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    write_tables(page, [SEED], [LSTM, GRU])
    write_tables(page, [SEED], [LSTM, GRU])
    lines = page.read_text().splitlines()
    assert lines[:3] == ["# Models", "", BEGIN]
    assert lines[-3:] == [END, "", "More."]
    assert "| `seed` | 224 x 224 | 128 | 11.2 M | 1.41 G | 42 | 55 |" in lines
    assert "| `lstm` | 141 k | 140 k | 1,024 | 9,123 | 61,000 | 0.912 | 0.950 |" in lines
    assert "| `gru` | 900 | 800 | 512 | 9,000 | 60,000 | 0.500 | 0.600 |" in lines
    assert "old" not in lines
    assert len({line.count("|") for line in lines if "`lstm`" in line or "accuracy" in line}) == 1


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}\n", f"{BEGIN}{END}{END}"])
def test_a_page_without_a_place_for_the_tables_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "models.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"models\.md: the tables go between one line <!-- meas"):
        write_tables(page, [SEED], [LSTM])
    assert page.read_text() == text


def test_every_head_is_trained_on_poses() -> None:
    posed = pose(actors(), streams=8, tests=4)
    train = trained_on(posed, frames=20_000, progress=Progress(disable=True))
    for name in HEADS:
        accuracy, after_1s = train(name)
        assert 0 < accuracy < 1
        assert 0 <= after_1s <= 1
