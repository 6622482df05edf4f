"""A recipe of letters ends in a bundle that runs, with what its memory is worth on its card."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")

import torch

from engines.checks.verify import verify
from engines.model.bundle import Bundle, load_bundle
from engines.model.inputs import IUPAC
from engines.model.lint import complaints
from engines.onnxrt import onnxruntime_engine
from engines.train import Letters, Recurrent, export
from engines.train.letters import letter_recipes
from engines.train.letters.letter_networks import BasesEncoder, Forgetful, TextEncoder
from tests.engines.train.letters.packed_data import declaration


def bundle_of(path: Path, kind: Any, encoder: torch.nn.Module) -> Bundle:
    torch.manual_seed(0)
    head = Recurrent(torch.nn.GRU(96, 8), torch.nn.Linear(8, 3))
    letters = Letters(kind, 30, "refuse", gap_reset_s=5.0)
    return export(encoder, head, labels=["a", "b", "c"], input=letters, path=path)


@pytest.mark.parametrize(("kind", "make"), [("text", TextEncoder), ("bases", BasesEncoder)])
def test_an_encoder_of_letters_is_exported_with_its_tables(
    tmp_path: Path, kind: Any, make: type[torch.nn.Module]
) -> None:
    bundle_of(tmp_path / "bundle", kind, make())
    bundle = load_bundle(tmp_path / "bundle")
    assert (bundle.input.kind, bundle.input.gap_after_s(2.0)) == (kind, 5.0)
    assert verify(onnxruntime_engine(bundle, 1), bundle).scores < 1e-4
    assert complaints(bundle) == []


def test_a_letter_for_several_bases_is_their_mean_and_nothing_is_none() -> None:
    table = BasesEncoder().table
    assert table[ord("N")].tolist() == [0.25] * 4
    assert table[ord("R")].tolist() == [0.5, 0, 0.5, 0]
    assert table.sum(1)[[ord(letter) for letter in IUPAC]].tolist() == [1.0] * 15
    assert not table[0].any()


def test_a_head_without_memory_answers_each_record_alone() -> None:
    head = Forgetful(3).eval()
    features = torch.randn(5, 2, 96)
    logits, memory = head(features, head.start(2))
    assert memory == ()
    assert torch.allclose(head.step(features[3], ())[0], logits[3], atol=1e-6)


@pytest.mark.slow
def test_a_short_training_writes_a_bundle_with_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = declaration(tmp_path)
    short = replace(letter_recipes.TASKS["languages"], package=package)
    monkeypatch.setitem(letter_recipes.TASKS, "languages", short)
    said: list[str] = []
    bundle = letter_recipes.train_letters(
        "languages", tmp_path, tmp_path / "out", seed=3, report=said.append, effort=0.03
    )
    assert bundle.training["command"] == (
        "longtake train DATA --recipe languages --out languages --seed 3"
    )
    found: Any = bundle.training["evaluation"]
    assert [test["records"] for test in found.values()] == [30_000, 30_000, 300]
    for test in found.values():
        assert 0 <= test["memory_lost_at_each_record"] <= 1
    assert (tmp_path / "out" / "ATTRIBUTION.txt").exists()
    sample = tmp_path / "out" / "session.txt"
    assert len(sample.read_text("utf-8").splitlines()) == 300
    rows = sample.with_suffix(".csv").read_text("utf-8").splitlines()
    assert rows[0] == "frame,label"
    assert {row.split(",")[1] for row in rows[1:]} <= set(bundle.labels)


@pytest.mark.slow
def test_a_bundle_whose_card_is_not_whole_names_no_command_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = declaration(tmp_path)
    short = replace(letter_recipes.TASKS["languages"], package=package)
    monkeypatch.setitem(letter_recipes.TASKS, "languages", short)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(letter_recipes, "_measured", killed)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        letter_recipes.train_letters(
            "languages", tmp_path, tmp_path / "out", seed=3, report=said.append, effort=0.0
        )
    assert "command" not in load_bundle(tmp_path / "out").training
