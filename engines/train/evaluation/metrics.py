"""Metrics of single frames: accuracy, average precision and calibration.

All take `Answers`, and return NaN where they are undefined, as for a class that never occurs.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, recall_score

from engines.train.evaluation.answers import Answers, Float64s, Ints

BINS = 15  # of confidence


@dataclass(frozen=True, slots=True)
class Reliability:
    """Mean confidence and accuracy by confidence: 15 bins (low, high] of equal width."""

    counts: Ints  # (15,)
    confidences: Float64s  # (15,), mean of the bin; NaN where it is empty
    accuracies: Float64s  # (15,)

    @property
    def error(self) -> float:
        """The expected calibration error: Guo et al. 2017."""
        filled = self.counts > 0
        apart = np.abs(self.confidences - self.accuracies)[filled]
        return ratio(float((apart * self.counts[filled]).sum()), int(self.counts.sum()))


def accuracy(answers: Answers) -> float:
    """Share of the frames answered right (top-1)."""
    return ratio(int((answers.right & answers.known).sum()), int(answers.known.sum()))


def accuracy_after_1s(answers: Answers) -> float:
    """Share of right frames among those a second or more into their action."""
    return ratio(int((answers.right & answers.late).sum()), int(answers.late.sum()))


def accuracy_by_class(answers: Answers) -> Float64s:
    """Share of each class's frames that were answered right (K,): scikit-learn's recall."""
    classes = answers.scores.shape[-1]
    if not answers.known.any():
        return np.full(classes, np.nan)
    truth, labels = answers.truth[answers.known], answers.labels[answers.known]
    recalls = recall_score(truth, labels, labels=range(classes), average=None, zero_division=np.nan)
    return np.asarray(recalls)


def confusion(answers: Answers) -> Ints:
    """Counts (K, K): row is the truth, column the answer; scikit-learn's."""
    classes = answers.scores.shape[-1]
    truth, labels = answers.truth[answers.known], answers.labels[answers.known]
    if not len(truth):
        return np.zeros((classes, classes), np.int64)
    return np.asarray(confusion_matrix(truth, labels, labels=range(classes)))


def average_precision(answers: Answers) -> Float64s:
    """Average precision of each class over all frames (K,): scikit-learn's, without interpolation.

    Its mean over the classes is the mAP of online action detection: De Geest et al. 2016.
    """
    return _by_class(answers, calibrated=False)


def calibrated_average_precision(answers: Answers) -> Float64s:
    """Average precision as if each class had as many positives as negatives: De Geest et al. 2016.

    There precision is w TP / (w TP + FP) with w = negatives / positives: an average precision in
    which each positive weighs w. NaN also for a class without negatives.
    """
    return _by_class(answers, calibrated=True)


def reliability(answers: Answers) -> Reliability:
    """Sort the answers into bins by their confidence, the largest score."""
    confidences = answers.scores.max(-1)[answers.known]
    right = answers.right[answers.known]
    bins = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    some = np.where(counts > 0, counts, np.nan)
    return Reliability(
        counts,
        np.bincount(bins, confidences, BINS) / some,
        np.bincount(bins, right, BINS) / some,
    )


def mean_of_known(values: Float64s) -> float:
    """Mean of those that are not NaN; NaN if there is none."""
    known = values[~np.isnan(values)]
    return ratio(float(known.sum()), len(known))


def ratio(part: float, whole: float) -> float:
    """Divide; NaN if the whole is 0."""
    return part / whole if whole else float("nan")


def _by_class(answers: Answers, *, calibrated: bool) -> Float64s:
    truth, scores = answers.truth[answers.known], answers.scores[answers.known]
    found = np.full(scores.shape[-1], np.nan)
    for k in range(len(found)):
        positive = truth == k
        positives, negatives = positive.sum(), (~positive).sum()
        if not positives or (calibrated and not negatives):
            continue
        weights = np.where(positive, negatives / positives, 1) if calibrated else None
        found[k] = average_precision_score(positive, scores[:, k], sample_weight=weights)
    return found
