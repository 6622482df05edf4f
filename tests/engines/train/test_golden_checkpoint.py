"""A training that was stopped under the first schema goes on from its checkpoint."""

import shutil
from pathlib import Path

import pytest
from pydantic import JsonValue

torch = pytest.importorskip("torch", reason="the [train] extra is not installed")

from engines.train.checkpoint import TrainingCheckpoint  # noqa: E402
from engines.train.clips.best import Best  # noqa: E402

GOLDEN = Path(__file__).parents[2] / "golden" / "schema-1" / "training" / "head.pt"
SETTINGS: dict[str, JsonValue] = {
    "recipe": "clips",
    "seed": 7,
    "labels": ["left", "rest", "right"],
    "rate_hz": 15.0,
}
LOSSES = [1.1290358304977417, 1.0873438119888306, 1.0537245273590088, 1.0265898704528809]


def test_network_optimiser_and_losses_come_back_as_they_were(tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / "head.pt")
    network, best = torch.nn.Linear(4, 3), Best(0)
    optimiser = torch.optim.AdamW(network.parameters(), 1.0)
    checkpoint = TrainingCheckpoint(tmp_path / "head.pt", SETTINGS)
    assert checkpoint.restore(network=network, optimiser=optimiser, best=best) == 3
    assert checkpoint.cpu_s >= 0.1077
    assert best.losses == LOSSES
    assert network.bias.tolist() == pytest.approx([-0.3625, -0.1515, -0.1057], abs=1e-4)
    assert torch.equal(network.weight, best.weights["weight"])
    assert optimiser.param_groups[0]["lr"] == 0.05
    steps = [state["step"].item() for state in optimiser.state.values()]
    assert steps == [3.0, 3.0]
