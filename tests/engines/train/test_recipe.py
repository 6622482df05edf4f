"""The demo's training comes to the same weights whether or not it is killed on its way."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")
pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")

import torch
from rich.progress import Progress

from engines.train.actions import encoder_training, polish, recipe
from engines.train.encoders.joint_networks import Encoder
from engines.train.heads import Head

from .rendered import actors


class Killed(BaseException):
    """Stands for a signal."""


class Deadly(Progress):
    """Kills the run when it has said `lives` things about the stage whose name begins so."""

    def __init__(self, stage: str, lives: int) -> None:
        super().__init__(disable=True)
        self.stage, self.lives = stage, lives

    def update(self, *args: Any, description: str | None = None, **kwargs: Any) -> None:
        self.lives -= (description or "").startswith(self.stage)
        if self.lives <= 0:
            raise Killed
        super().update(*args, description=description, **kwargs)


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of seconds that still has every stage, and two checkpoints in each."""
    monkeypatch.setattr(encoder_training, "BATCH", 16)
    monkeypatch.setattr(encoder_training, "SAVED_EVERY", 2)
    monkeypatch.setattr(polish, "LANES", 2)
    monkeypatch.setattr(polish, "LENGTH", 16)
    monkeypatch.setattr(recipe, "LENGTH", 40)
    monkeypatch.setattr(recipe, "FEWEST_STREAMS", 4)
    monkeypatch.setattr(recipe, "ENCODER_FRAMES", 5 * 16_000)
    monkeypatch.setattr(recipe, "POLISH_FRAMES", 3 * 2 * 16_000)


def trained(work: Path, progress: Progress) -> tuple[Encoder, Head]:
    torch.set_num_threads(1)
    run = recipe.Run(work, seed=3, effort=0.001, progress=progress, actors=actors())
    return recipe.train(run)


@pytest.mark.usefixtures("_short")
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", Progress(disable=True))
    for stage, lives in (("encoder", 4), ("polish", 4)):
        with pytest.raises(Killed):
            trained(tmp_path / "killed", Deadly(stage, lives))
    resumed = trained(tmp_path / "killed", Progress(disable=True))
    for one, other in zip(whole, resumed, strict=True):
        again = torch.nn.Module.state_dict(other)
        for name, weight in torch.nn.Module.state_dict(one).items():
            assert torch.equal(weight, again[name]), name


def test_the_margin_is_chosen_on_people_who_do_not_exist(tmp_path: Path) -> None:
    run = recipe.Run(
        tmp_path, seed=3, effort=0.001, progress=Progress(disable=True), actors=actors()
    )
    real = {look.skin.tobytes() for person in actors().people["train"] for look in person.bodies}
    takes = recipe.strangers(run)
    assert len(takes) == recipe.FEWEST_STREAMS
    assert not real & {take.cast.body.skin.tobytes() for take in takes}
