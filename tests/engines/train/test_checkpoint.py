"""A run that was killed goes on where its last checkpoint was."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from engines.train.checkpoint import CheckpointError, TrainingCheckpoint

SETTINGS = {"seed": 1, "frames": 100}


def test_a_run_that_never_saved_begins_at_its_first_step(tmp_path: Path) -> None:
    assert (
        TrainingCheckpoint(tmp_path / "run.pt", SETTINGS).restore(model=torch.nn.Linear(2, 2)) == 0
    )


def test_model_and_optimiser_come_back_as_they_were(tmp_path: Path) -> None:
    checkpoint = TrainingCheckpoint(tmp_path / "deep" / "run.pt", SETTINGS)
    trained, model = trained_pair(steps=3), trained_pair(steps=0)
    checkpoint.save(3, model=trained[0], optimiser=trained[1])
    assert checkpoint.restore(model=model[0], optimiser=model[1]) == 3
    for network, optimiser in (trained, model):
        train(network, optimiser)
    assert torch.equal(trained[0].weight, model[0].weight)
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["run.pt"]


def test_a_checkpoint_of_other_settings_is_refused_and_says_which(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    TrainingCheckpoint(tmp_path / "run.pt", SETTINGS).save(1, model=model)
    with pytest.raises(CheckpointError, match=r"frames 100 \(now 200\); name another folder"):
        TrainingCheckpoint(tmp_path / "run.pt", SETTINGS | {"frames": 200}).restore(model=model)


def test_a_damaged_checkpoint_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "run.pt").write_bytes(b"PK half of an archive")
    with pytest.raises(CheckpointError, match=r"run\.pt is damaged, delete it"):
        TrainingCheckpoint(tmp_path / "run.pt", SETTINGS).restore(model=torch.nn.Linear(2, 2))


def test_a_checkpoint_of_the_release_before_is_read_and_one_of_a_newer_schema_is_not(
    tmp_path: Path,
) -> None:
    path, model = tmp_path / "run.pt", torch.nn.Linear(2, 2)
    TrainingCheckpoint(path, SETTINGS).save(3, model=model)
    kept = torch.load(path, weights_only=True)
    assert kept.pop("schema") == 1
    torch.save(kept, path)
    assert TrainingCheckpoint(path, SETTINGS).restore(model=model) == 3
    torch.save(kept | {"schema": 2}, path)
    with pytest.raises(CheckpointError, match=r"has schema 2, this release reads up to 1"):
        TrainingCheckpoint(path, SETTINGS).restore(model=model)


@pytest.mark.parametrize("kept", [[], {"schema": [1]}, {"settings": SETTINGS, "step": None}])
def test_a_file_that_is_no_checkpoint_is_damaged(tmp_path: Path, kept: object) -> None:
    torch.save(kept, tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match=r"run\.pt is damaged, delete it"):
        TrainingCheckpoint(tmp_path / "run.pt", SETTINGS).restore(model=torch.nn.Linear(2, 2))


def trained_pair(*, steps: int) -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters(), 0.1)
    for _ in range(steps):
        train(model, optimiser)
    return model, optimiser


def train(model: torch.nn.Linear, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    model(torch.ones(1, 2)).square().sum().backward()
    optimiser.step()
