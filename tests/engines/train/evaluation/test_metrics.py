"""Metrics of single frames against examples worked by hand and definitions written anew."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("sklearn", reason="the [train] extra is not installed")

from engines.checks.verify import to_scores
from engines.train.evaluation import metrics
from engines.train.evaluation.answers import Answers, count_onsets, side_by_side


def one_stream(scores: list[list[float]], truth: list[int], *, rate_hz: float = 1.0) -> Answers:
    """One stream (T, 1, K); at 1 Hz every frame but the first of an action is late."""
    labels = np.array(truth)
    onsets = count_onsets(labels)
    return Answers(np.array(scores)[:, None], labels[:, None], onsets[:, None], rate_hz)


def random_answers(seed: int = 0) -> Answers:
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, 4, (50, 3))
    onsets = np.stack([count_onsets(stream) for stream in truth.T], 1)
    logits = rng.normal(size=(50, 3, 4)).astype(np.float32)
    return Answers(to_scores(logits, "softmax"), truth, onsets, 2.0)


LEFT, RIGHT = [0.9, 0.1, 0.0], [0.2, 0.8, 0.0]
HAND = one_stream([LEFT, LEFT, RIGHT, RIGHT, LEFT], [0, 0, 0, 1, 1])


def test_three_right_of_five_are_an_accuracy_of_three_fifths() -> None:
    assert metrics.accuracy(HAND) == 3 / 5


def test_accuracy_after_a_second_counts_only_frames_that_far_into_their_action() -> None:
    assert metrics.accuracy_after_1s(HAND) == 1 / 3  # frames 1, 2 and 4: right, wrong, wrong


def test_without_a_frame_a_second_into_its_action_there_is_no_accuracy_after_it() -> None:
    short = one_stream([LEFT, RIGHT], [0, 1])
    assert np.isnan(metrics.accuracy_after_1s(short))


def test_a_class_that_never_occurs_has_no_accuracy_and_does_not_count_in_the_mean() -> None:
    by_class = metrics.accuracy_by_class(HAND)
    np.testing.assert_allclose(by_class, [2 / 3, 1 / 2, np.nan])
    assert metrics.mean_of_known(by_class) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_confusion_has_the_truth_in_rows_and_the_answer_in_columns() -> None:
    np.testing.assert_array_equal(metrics.confusion(HAND), [[2, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_ties_go_to_the_first_label() -> None:
    assert one_stream([[0.4, 0.4, 0.2]], [0]).labels[0, 0] == 0


def test_unlabelled_frames_change_nothing() -> None:
    padded = one_stream([LEFT, LEFT, RIGHT, RIGHT, LEFT, RIGHT, RIGHT], [0, 0, 0, 1, 1, -1, -1])
    assert metrics.accuracy(padded) == metrics.accuracy(HAND)
    np.testing.assert_array_equal(metrics.confusion(padded), metrics.confusion(HAND))
    assert metrics.reliability(padded).error == metrics.reliability(HAND).error
    np.testing.assert_array_equal(
        metrics.average_precision(padded), metrics.average_precision(HAND)
    )


def ranked_precision(positive: np.ndarray, scores: np.ndarray, weight: float) -> float:
    """Sum over the positives, best first, of w TP / (w TP + FP), as the paper writes it."""
    order = np.argsort(-scores)
    hits, misses, total = 0, 0, 0.0
    for right in positive[order]:
        hits, misses = hits + right, misses + (not right)
        total += weight * hits / (weight * hits + misses) if right else 0
    return float(total / positive.sum())


def test_average_precision_is_the_mean_precision_at_the_ranks_of_the_positives() -> None:
    # of class 1, ranked: right, wrong, right -> (1/1 + 2/3) / 2
    answers = one_stream([[0.1, 0.9], [0.3, 0.7], [0.6, 0.4]], [1, 0, 1])
    assert metrics.average_precision(answers)[1] == pytest.approx((1 + 2 / 3) / 2)


def test_average_precision_agrees_with_its_definition() -> None:
    answers = random_answers()
    truth, scores = answers.truth[answers.known], answers.scores[answers.known]
    wanted = [ranked_precision(truth == k, scores[:, k], 1.0) for k in range(4)]
    np.testing.assert_allclose(metrics.average_precision(answers), wanted)


def test_calibrated_average_precision_agrees_with_its_definition() -> None:
    answers = random_answers(1)
    truth, scores = answers.truth[answers.known], answers.scores[answers.known]
    wanted = [
        ranked_precision(truth == k, scores[:, k], (truth != k).sum() / (truth == k).sum())
        for k in range(4)
    ]
    found = metrics.calibrated_average_precision(answers)
    np.testing.assert_allclose(found, wanted)
    assert not np.allclose(found, metrics.average_precision(answers))


def test_precision_is_unknown_of_a_class_that_never_occurs() -> None:
    assert np.isnan(metrics.average_precision(HAND)[2])
    assert np.isnan(metrics.calibrated_average_precision(HAND)[2])


def test_calibrated_precision_is_unknown_where_nothing_else_occurs() -> None:
    always = one_stream([LEFT, LEFT], [0, 0])
    assert metrics.average_precision(always)[0] == 1
    assert np.isnan(metrics.calibrated_average_precision(always)[0])


def test_calibration_error_is_the_distance_weighted_by_the_frames_of_each_bin() -> None:
    # three answers at 0.9, of which two are right, two at 0.8, of which one is
    wanted = 3 / 5 * abs(0.9 - 2 / 3) + 2 / 5 * abs(0.8 - 1 / 2)
    assert metrics.reliability(HAND).error == pytest.approx(wanted)


def test_the_reliability_table_counts_every_labelled_frame_once() -> None:
    answers = random_answers()
    table = metrics.reliability(answers)
    assert len(table.counts) == 15
    assert table.counts.sum() == answers.known.sum()
    assert np.isnan(table.accuracies[table.counts == 0]).all()


def test_a_confidence_on_the_edge_belongs_to_the_lower_bin() -> None:
    table = metrics.reliability(one_stream([[0.2, 0.2], [1.0, 0.0], [0.0, 0.0]], [0, 0, 0]))
    assert [int(i) for i in np.flatnonzero(table.counts)] == [0, 2, 14]


def test_nothing_labelled_gives_no_figure_and_no_crash() -> None:
    nothing = one_stream([LEFT, RIGHT], [-1, -1])
    assert np.isnan(metrics.accuracy(nothing))
    assert np.isnan(metrics.accuracy_by_class(nothing)).all()
    assert np.isnan(metrics.reliability(nothing).error)
    assert not metrics.confusion(nothing).any()


def test_onsets_count_from_each_change_of_the_label() -> None:
    np.testing.assert_array_equal(
        count_onsets(np.array([2, 2, 2, 0, 0, -1, 2])), [0, 1, 2, 0, 1, 0, 0]
    )


def test_a_shorter_stream_is_filled_up() -> None:
    joined = side_by_side([np.array([1, 2, 3]), np.array([4])], fill=-1)
    np.testing.assert_array_equal(joined, [[1, 4], [2, -1], [3, -1]])


def test_scores_are_those_of_the_activation_however_large_the_logits() -> None:
    logits = np.array([[0.0, np.log(3)], [1000.0, -1000.0]], np.float32)
    np.testing.assert_allclose(to_scores(logits, "softmax"), [[0.25, 0.75], [1.0, 0.0]], atol=1e-7)
    np.testing.assert_allclose(to_scores(logits, "sigmoid"), [[0.5, 0.75], [1.0, 0.0]], atol=1e-7)
