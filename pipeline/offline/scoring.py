"""Counts how often a stream's predictions are right."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Score:
    """A running score of one stream against its frames' labels (None: there are none)."""

    labels: Sequence[str] | None = None
    predictions: int = 0
    label: str | None = None  # the newest predicted one
    right: int = 0
    labelled: int = 0

    def enter(self, frame: int, label: str) -> None:
        """Enter the prediction of one frame; a clip that is looped begins again at its labels."""
        self.predictions += 1
        self.label = label
        if self.labels:
            self.labelled += 1
            self.right += label == self.labels[frame % len(self.labels)]

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled predictions that are right."""
        return self.right / self.labelled if self.labelled else None

    def summary(self) -> dict[str, object]:
        """The score as the commands' JSON has it."""
        accuracy = None if self.accuracy is None else round(self.accuracy, 4)
        return {"predictions": self.predictions, "label": self.label, "accuracy": accuracy}
