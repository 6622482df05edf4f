"""The accuracy of a stream."""

import pytest

from pipeline.offline.scoring import Score


def scored(labels: list[str] | None, *entries: tuple[int, str]) -> Score:
    score = Score(labels)
    for frame, label in entries:
        score.enter(frame, label)
    return score


def test_accuracy_is_the_share_of_predictions_that_are_right() -> None:
    score = scored(["walk", "walk", "run", "run"], (0, "walk"), (1, "run"), (3, "run"))
    assert score.accuracy == pytest.approx(2 / 3)
    assert score.summary() == {"predictions": 3, "label": "run", "accuracy": 0.6667}


def test_a_looped_clip_begins_again_at_its_labels() -> None:
    assert scored(["walk", "run"], (2, "walk"), (3, "run"), (4, "run")).accuracy == 2 / 3


def test_without_labels_predictions_are_only_counted() -> None:
    score = scored(None, (0, "walk"))
    assert score.summary() == {"predictions": 1, "label": "walk", "accuracy": None}


def test_before_the_first_prediction_there_is_no_accuracy() -> None:
    assert scored(["walk"]).summary() == {"predictions": 0, "label": None, "accuracy": None}
