"""The data pack: it is in the repository, and who has only the wheel hears where it is."""

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("numba", reason="the [train] extra is not installed")
pytest.importorskip("sklearn", reason="the [train] extra is not installed")
pytest.importorskip("matplotlib", reason="the [train] extra is not installed")

from pathlib import Path

from rich.progress import Progress

from engines.train.people.actors import PackError, load_actors
from pipeline.cli.model.evaluate import evaluate
from pipeline.errors import DependencyError, TrainingError
from pipeline.offline.training import train_actions

WHERE = "part of longtake's repository and not of the wheel; clone the repository"


@pytest.fixture
def _no_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed from a wheel: the place is there, the pack is not."""
    absent = (tmp_path / "actors.zip",)
    monkeypatch.setattr(load_actors, "__defaults__", absent)


def test_a_pack_that_is_absent_is_an_error_that_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=WHERE):
        load_actors(tmp_path / "actors.zip")


@pytest.mark.usefixtures("_no_pack")
def test_training_without_the_pack_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=WHERE):
        train_actions(tmp_path / "out", tmp_path / "work", 0, Progress(disable=True))


@pytest.mark.usefixtures("_no_pack")
def test_evaluation_without_the_pack_says_where_it_is() -> None:
    with pytest.raises(DependencyError, match=WHERE):
        evaluate("actions", 2, 2000, None, as_json=True)
