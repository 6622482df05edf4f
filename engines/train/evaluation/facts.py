"""The figures of one test as JSON. The only place that defines the keys' names."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engines.train.evaluation import metrics, timing
from engines.train.evaluation.answers import Answers
from engines.train.rolling import NEVER

Facts = dict[str, Any]

DIGITS = 4
UNKNOWN_FIGURE = "-"
TEST = "test_"  # before the names of tests, so that they differ from all other keys

# key of a test's figure -> its title, and its format
FIGURES: Mapping[str, tuple[str, str]] = {
    "accuracy": ("frames right", "{:.1%}"),
    "accuracy_after_1s": ("frames right, from 1 s into an action", "{:.1%}"),
    "macro_accuracy": ("frames right, each class counting the same", "{:.1%}"),
    "map": ("mean average precision", "{:.3f}"),
    "calibrated_map": ("calibrated mean average precision", "{:.3f}"),
    "ece": ("calibration error", "{:.1%}"),
    "detected": ("actions detected", "{:.1%}"),
    "median_s": ("time to detect, median", "{:.2f} s"),
    "p90_s": ("time to detect, 9 of 10", "{:.2f} s"),
    "segment_f1": ("F1 of segments that overlap by half", "{:.3f}"),
    "changes_per_min": ("label changes a minute", "{:.0f}"),
    "true_changes_per_min": ("true changes a minute", "{:.0f}"),
    "streams": ("streams", "{:,}"),
    "frames": ("labelled frames", "{:,}"),
}


def measure_test(carried: Answers, resets: Mapping[int, Answers], labels: Sequence[str]) -> Facts:
    """Compute all figures of a test, with the memory carried, and with it reset."""
    found = timing.latency(carried)
    return {
        "streams": carried.truth.shape[1],
        "frames": int(carried.known.sum()),
        **accuracies(carried),
        "macro_accuracy": metrics.mean_of_known(metrics.accuracy_by_class(carried)),
        "map": metrics.mean_of_known(metrics.average_precision(carried)),
        "calibrated_map": metrics.mean_of_known(metrics.calibrated_average_precision(carried)),
        "ece": metrics.reliability(carried).error,
        "segment_f1": timing.segment_f1(carried),
        "changes_per_min": timing.changes_per_min(carried.labels, carried),
        "true_changes_per_min": timing.changes_per_min(carried.truth, carried),
        "latency": {
            "segments": found.segments,
            "detected": found.detected,
            "median_s": found.median_s,
            "p90_s": found.p90_s,
        },
        "since_onset": _since_onset(carried),
        "reset_every": {
            reset_name(reset): accuracies(answers) | {"since_onset": _curve(answers)}
            for reset, answers in resets.items()
        },
        "by_class": _by_class(carried, labels),
        "confusion": metrics.confusion(carried).tolist(),
        "reliability": _reliability(carried),
    }


def alone_facts(alone: Answers) -> Facts:
    """Compute the figures of a head without memory."""
    return accuracies(alone) | {"since_onset": _curve(alone)}


def accuracies(answers: Answers) -> Facts:
    """Compute the two figures that all variants are compared by."""
    return {
        "accuracy": metrics.accuracy(answers),
        "accuracy_after_1s": metrics.accuracy_after_1s(answers),
    }


def reset_name(reset: int) -> str:
    """The name of a reset in JSON: the number of frames, or never."""
    return "never" if reset == NEVER else str(reset)


def tests_of(facts: Mapping[str, Any]) -> dict[str, Facts]:
    """The tests among all facts, in their order."""
    return {name: found for name, found in facts.items() if name.startswith(TEST)}


def title(name: str) -> str:
    """The title of a test for people."""
    return f"test {name.removeprefix(TEST)}"


def written(test: Facts, key: str) -> str:
    """Format one of `FIGURES` for people."""
    value = test["latency"][key] if key in ("detected", "median_s", "p90_s") else test[key]
    return UNKNOWN_FIGURE if value is None else FIGURES[key][1].format(value)


def percent(value: float | None) -> str:
    """Format a share in percent."""
    return UNKNOWN_FIGURE if value is None else f"{value:.1%}"


def reset_words(name: str) -> str:
    """The words for a reset that is named 1, 5 or never in JSON."""
    return {"never": "never", "1": "every frame"}.get(name, f"every {name} frames")


def plain(value: Any) -> Any:
    """Convert to plain JSON values: four decimals, and null for NaN."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else round(float(value), DIGITS)
    return value.item() if isinstance(value, np.generic) else value


def _since_onset(answers: Answers) -> Facts:
    counts, accuracies = timing.since_onset(answers)
    return {"from_s": (0.0, *timing.EDGES_S), "frames": counts, "accuracy": accuracies}


def _curve(answers: Answers) -> Any:
    return timing.since_onset(answers)[1]


def _by_class(answers: Answers, labels: Sequence[str]) -> Facts:
    columns = {
        "accuracy": metrics.accuracy_by_class(answers),
        "average_precision": metrics.average_precision(answers),
        "calibrated_average_precision": metrics.calibrated_average_precision(answers),
    }
    return {
        label: {name: column[k] for name, column in columns.items()}
        for k, label in enumerate(labels)
    }


def _reliability(answers: Answers) -> Facts:
    table = metrics.reliability(answers)
    return {
        "frames": table.counts,
        "confidence": table.confidences,
        "accuracy": table.accuracies,
    }
