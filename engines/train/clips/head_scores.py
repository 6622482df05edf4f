"""Losses and accuracies of a head on whole videos, with its memory carried and without memory."""

from collections.abc import Sequence

import torch
from pydantic import JsonValue
from torch import Tensor
from torch.nn import functional

from engines.train.clips.footage import UNLABELLED, FailureError
from engines.train.clips.reels import FeatureStream
from engines.train.heads import Head


def mean_loss(head: Head, streams: Sequence[FeatureStream]) -> float:
    """Return the mean cross-entropy of the labelled frames, the memory carried over each stream."""
    logits, labels = _answers(head, streams, carry=True)
    return float(functional.cross_entropy(logits, labels).item())


def score_head(
    head: Head, streams: Sequence[FeatureStream], classes: Sequence[str]
) -> dict[str, JsonValue]:
    """Score the labelled frames of streams.

    `accuracy` is the share of right frames, `macro_accuracy` the mean of the classes' shares.
    To compare with: `most_frequent_class` is the accuracy of a model that always gives the most
    frequent class, `reset_every_frame` has the scores of this head without its memory.
    """
    logits, labels = _answers(head, streams, carry=True)
    reset, _ = _answers(head, streams, carry=False)
    counts = torch.bincount(labels, minlength=len(classes))
    return {
        "frames": len(labels),
        "most_frequent_class": round((counts.max() / counts.sum()).item(), 4),
        **_score(logits, labels, classes),
        "reset_every_frame": _score(reset, labels, classes),
    }


def _score(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, JsonValue]:
    right = (logits.argmax(-1) == labels).float()
    by_class = {
        name: round(right[labels == n].mean().item(), 4)
        for n, name in enumerate(classes)
        if (labels == n).any()
    }
    return {
        "accuracy": round(right.mean().item(), 4),
        "macro_accuracy": round(sum(by_class.values()) / len(by_class), 4),
        "accuracy_by_class": dict(by_class),
    }


@torch.inference_mode()
def _answers(head: Head, streams: Sequence[FeatureStream], *, carry: bool) -> tuple[Tensor, Tensor]:
    """Return the logits (M, K) and the labels (M,) of all labelled frames.

    Without `carry`, each frame is answered from an empty memory.
    """
    head.eval()
    logits, labels = [], []
    for stream in streams:
        if carry:
            # T steps of one row: (T, 1, F) -> (T, 1, K)
            answer, _ = head(stream.features[:, None], head.start(1))
        else:
            # one step of T rows: (1, T, F) -> (1, T, K)
            answer, _ = head(stream.features[None], head.start(len(stream.labels)))
        known = stream.labels != UNLABELLED
        logits.append(answer.flatten(0, 1)[known])  # (T, K) -> (M, K)
        labels.append(stream.labels[known])
    if not sum(map(len, labels)):
        raise FailureError(
            "no frame of the validation videos has a label; do the times lie within the videos?"
        )
    return torch.cat(logits), torch.cat(labels)
