"""Metrics of time against examples worked by hand, at one frame a second where not said else."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("sklearn", reason="the [train] extra is not installed")

from engines.train.evaluation import timing
from engines.train.evaluation.answers import Answers, count_onsets, side_by_side
from engines.train.evaluation.timing import Segment


def answered(*streams: tuple[list[int], list[int]], rate_hz: float = 1.0) -> Answers:
    """Streams of (answers, truth), of any length each."""
    truth = side_by_side([np.array(true) for _, true in streams], fill=-1)
    labels = side_by_side([np.array(labels) for labels, _ in streams], fill=0)
    onsets = np.stack([count_onsets(stream) for stream in truth.T], 1)
    return Answers(np.eye(4)[labels], truth, onsets, rate_hz)


def test_segments_are_cut_where_the_label_changes_and_leave_out_the_unknown() -> None:
    found = timing.segments(np.array([1, 1, -1, 1, 0, 0]))
    assert found == [Segment(1, 0, 2), Segment(1, 3, 4), Segment(0, 4, 6)]
    assert timing.segments(np.array([], int)) == []


def test_detection_begins_with_the_first_of_three_right_answers_in_a_row() -> None:
    #                   v right, then wrong       v three in a row from frame 3 on
    found = timing.latency(answered(([2, 1, 0, 2, 2, 2, 0], [2] * 7), rate_hz=2))
    assert (found.segments, found.detected) == (1, 1.0)
    assert found.median_s == found.p90_s == 3 / 2


def test_an_action_that_is_never_right_three_times_is_not_detected() -> None:
    found = timing.latency(answered(([1, 1, 0, 1, 1, 2, 2, 2], [1, 1, 1, 1, 1, 2, 2, 2])))
    assert (found.segments, found.detected) == (2, 0.5)
    assert found.median_s == 0


def test_right_answers_before_and_after_a_change_do_not_add_up() -> None:
    found = timing.latency(answered(([1, 1, 2, 2], [1, 1, 2, 2])))
    assert found.segments == 0  # of two frames each: too short to be detected at all
    assert np.isnan(found.detected)
    assert np.isnan(found.median_s)


def test_quantiles_are_of_the_detected_segments() -> None:
    delays = [([0] * d + [1] * 3, [1] * (d + 3)) for d in range(11)]
    found = timing.latency(answered(*delays, rate_hz=10))
    assert (found.median_s, found.p90_s) == pytest.approx((0.5, 0.9))


def test_accuracy_since_onset_is_told_in_eight_bins() -> None:
    truth = [1] * 40
    counts, accuracies = timing.since_onset(answered(([0] * 15 + [1] * 25, truth), rate_hz=15))
    np.testing.assert_array_equal(counts, [2, 2, 3, 3, 5, 8, 7, 10])
    np.testing.assert_array_equal(accuracies, [0, 0, 0, 0, 0, 1, 1, 1])


def test_a_bin_that_no_frame_falls_into_is_unknown() -> None:
    counts, accuracies = timing.since_onset(answered(([1], [1])))
    assert counts[0] == 1
    assert np.isnan(accuracies[1:]).all()


def test_changes_are_counted_within_a_stream_and_between_labelled_frames() -> None:
    answers = answered(([0, 1, 1, 2, 0], [0, 0, 1, 1, -1]), ([3, 3], [3, 3]), rate_hz=2)
    # two changes of answer and one of truth in four pairs of frames, two seconds
    assert timing.changes_per_min(answers.labels, answers) == 2 * 30
    assert timing.changes_per_min(answers.truth, answers) == 1 * 30


def test_a_single_frame_has_no_rate_of_change() -> None:
    single = answered(([1], [1]))
    assert np.isnan(timing.changes_per_min(single.truth, single))


def test_answers_that_are_the_truth_have_whole_segments() -> None:
    assert timing.segment_f1(answered(([1, 1, 2, 2], [1, 1, 2, 2]))) == 1


def test_a_segment_counts_from_half_of_what_both_cover_together() -> None:
    #                                     1: 1 of 2 frames     2: 2 of 3 frames
    assert timing.segment_f1(answered(([1, 2, 2, 2], [1, 1, 2, 2]))) == 1
    #                                     1: 1 of 3 frames     2: 3 of 5 frames
    assert timing.segment_f1(answered(([1, 2, 2, 2, 2, 2], [1, 1, 1, 2, 2, 2]))) == 0.5


def test_a_true_segment_is_taken_only_once() -> None:
    # the three answered segments of 1 overlap one true segment of 7: by 4/7, 1/7 and by nothing
    answers = answered(([1, 1, 1, 1, 0, 1, 0], [1] * 7))
    assert timing.segment_f1(answers) == pytest.approx(2 * 1 / (4 + 1))
    # halves of the same action: both overlap it by exactly half, one of them is too many
    halves = answered(([1, 1, 0, 0], [1, 1, 1, 1]), ([0, 0, 1, 1], [1, 1, 1, 1]))
    assert timing.segment_f1(halves) == pytest.approx(2 * 2 / (4 + 2))


def test_answers_to_unlabelled_frames_are_no_segments() -> None:
    assert timing.segment_f1(answered(([1, 1, 2, 3], [1, 1, -1, -1]))) == 1


def segment_f1_of_the_paper(answers: Answers) -> float:
    """Colin Lea's procedure, frame by frame: sets of frames instead of their ends."""
    hits = misses = forgotten = 0
    for labels, truth in zip(answers.labels.T, answers.truth.T, strict=True):
        theirs = [(s.label, set(range(s.start, s.end))) for s in timing.segments(truth)]
        used = [False] * len(theirs)
        for ours in timing.segments(labels):
            frames = set(range(ours.start, ours.end))
            overlaps = [
                len(frames & true) / len(frames | true) if label == ours.label else 0
                for label, true in theirs
            ]
            best = overlaps.index(max(overlaps))
            right = overlaps[best] >= 0.5 and not used[best]
            hits, misses = hits + right, misses + (not right)
            used[best] = used[best] or right
        forgotten += len(theirs) - sum(used)
    return 2 * hits / (2 * hits + misses + forgotten)


@pytest.mark.parametrize("seed", range(5))
def test_segment_f1_agrees_with_the_procedure_of_its_authors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.integers(0, 4, 30), 5)
    labels = np.where(rng.random(150) < 0.1, rng.integers(0, 4, 150), np.roll(truth, 1))
    answers = answered((labels.tolist(), truth.tolist()))
    assert timing.segment_f1(answers) == pytest.approx(segment_f1_of_the_paper(answers))
