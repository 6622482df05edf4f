"""A whole measurement of a bundle that knows nothing, on streams that are made in a moment."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("sklearn", reason="the [train] extra is not installed")

from rich.progress import Progress

from engines.onnxrt import onnxruntime_engine
from engines.train.evaluation.evaluate import Evaluation, evaluate
from engines.train.rolling import NEVER, roll
from tests.engines.bundles import LABELS, tiny
from tests.engines.train.evaluation.noise import LENGTHS, data, film
from tests.engines.train.evaluation.typed_facts import fact, figure, row, table


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    bundle = tiny(tmp_path_factory.mktemp("bundle"))
    return evaluate(bundle, data(), Progress(disable=True))


def test_the_first_test_is_told_at_the_top(found: Evaluation) -> None:
    facts = found.facts
    assert list(table(facts, "reset_every")) == ["1", "5", "15", "60", "never"]
    assert figure(facts, "reset_every", "never") == figure(facts, "test_own", "accuracy")
    own = figure(facts, "test_own", "frame_only", "accuracy")
    assert figure(facts, "frame_only", "accuracy") == own
    assert facts["streams"] == 6
    assert facts["frames"] == 2 * (sum(LENGTHS) - 3 * len(LENGTHS))  # the labelled ones
    assert facts["folder"] == "nowhere"


def test_the_figures_are_those_of_the_bundle_run_alone(found: Evaluation, tmp_path: Path) -> None:
    engine = onnxruntime_engine(tiny(tmp_path), threads=1)
    films = [film(i, length) for i, length in enumerate(LENGTHS)]
    for name, reset in {"never": NEVER, "5": 5}.items():
        right = labelled = 0
        for pixels, labels in films:
            answers = roll(engine, pixels[None], resets=(reset,))[reset][:, 0].argmax(-1)
            right += int(((answers == labels) & (labels >= 0)).sum())
            labelled += int((labels >= 0).sum())
        assert figure(found.facts, "reset_every", name) == round(right / labelled, 4)


def test_a_head_over_single_frames_learns_what_single_frames_show(found: Evaluation) -> None:
    assert figure(found.facts, "frame_only", "accuracy") > 0.9
    assert fact(found.facts, "frame_only", "head") in table(found.facts, "frame_only", "held_out")


def test_the_facts_are_json_of_a_few_kilobytes_with_four_decimals(found: Evaluation) -> None:
    text = json.dumps(found.facts, allow_nan=False)
    assert len(text) < 10_000
    assert json.loads(text) == found.facts
    ece = figure(found.facts, "test_own", "ece")
    assert round(ece, 4) == ece


def test_what_is_not_known_is_null(found: Evaluation) -> None:
    late = table(found.facts, "test_own", "since_onset")
    assert row(late, "frames")[-1] == 0  # no action of these lasts two seconds
    assert row(late, "accuracy")[-1] is None


def test_every_class_and_every_metric_is_told(found: Evaluation) -> None:
    told = table(found.facts, "test_other")
    assert tuple(table(told, "by_class")) == LABELS
    assert np.asarray(row(told, "confusion"), int).sum() == told["frames"]
    assert np.asarray(row(told, "reliability", "frames"), int).sum() == told["frames"]
    assert {"accuracy_after_1s", "macro_accuracy", "map", "calibrated_map", "ece"} <= set(told)
    assert {"segment_f1", "changes_per_min", "true_changes_per_min", "latency"} <= set(told)


def test_the_strip_is_the_stream_in_the_middle(found: Evaluation, tmp_path: Path) -> None:
    engine, shares = onnxruntime_engine(tiny(tmp_path), threads=1), []
    for i, length in enumerate(LENGTHS):
        pixels, labels = film(i, length)
        answers = roll(engine, pixels[None])[NEVER][:, 0].argmax(-1)
        shares.append((answers == labels)[labels >= 0].mean())
    assert len(set(shares)) == 3
    assert found.strip.stream == f"noise {np.argsort(shares)[1]}"


def test_the_strip_is_one_whole_stream(found: Evaluation) -> None:
    rows = found.strip.rows
    assert list(rows) == ["truth", "with memory", "frame-only"]
    assert {len(row) for row in rows.values()} == {LENGTHS[int(found.strip.stream[-1])]}


def test_without_training_streams_nothing_is_said_of_a_frame_only_head(tmp_path: Path) -> None:
    bundle = tiny(tmp_path, activation="sigmoid")
    found = evaluate(bundle, replace(data(), training=None), Progress(disable=True))
    assert "frame_only" not in found.facts
    assert "frame_only" not in table(found.facts, "test_own")
    assert list(found.strip.rows) == ["truth", "with memory"]
