"""Counts how often a stream's predictions are right."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Score:
    """The running score of one stream against its frames' labels (None: it has no labels)."""

    labels: Sequence[str] | None = None
    predictions: int = 0
    label: str | None = None  # the newest predicted one
    right: int = 0
    labelled: int = 0

    def enter(self, frame: int, label: str) -> None:
        """Enter the prediction of one frame. A looped clip begins again at its first label."""
        self.predictions += 1
        self.label = label
        if self.labels:
            self.labelled += 1
            self.right += label == self.labels[frame % len(self.labels)]

    @property
    def accuracy(self) -> float | None:
        """The share of the labelled predictions that are right; None without labels."""
        return self.right / self.labelled if self.labelled else None

    def summary(self) -> dict[str, object]:
        """Return the score as the commands print it in JSON."""
        accuracy = None if self.accuracy is None else round(self.accuracy, 4)
        return {"predictions": self.predictions, "label": self.label, "accuracy": accuracy}
