"""How well a head does on whole videos: with its memory carried, and with none at all."""

from collections.abc import Sequence

import torch
from pydantic import JsonValue
from torch import Tensor
from torch.nn import functional

from engines.train.clips.footage import UNLABELLED, FailureError
from engines.train.clips.reels import FeatureStream
from engines.train.heads import Head


def mean_loss(head: Head, streams: Sequence[FeatureStream]) -> float:
    """Give the mean cross-entropy of the labelled frames."""
    logits, labels = _answers(head, streams, remembers=True)
    return float(functional.cross_entropy(logits, labels).item())


def measure(
    head: Head, streams: Sequence[FeatureStream], classes: Sequence[str]
) -> dict[str, JsonValue]:
    """Score the labelled frames; `reset_every_frame` tells what memory is worth on these videos.

    `accuracy` is of frames, `macro_accuracy` the mean over classes, `most_frequent_class` what a
    model reaches that always says the same.
    """
    logits, labels = _answers(head, streams, remembers=True)
    forgetful, _ = _answers(head, streams, remembers=False)
    counts = torch.bincount(labels, minlength=len(classes))
    return {
        "frames": len(labels),
        "most_frequent_class": round((counts.max() / counts.sum()).item(), 4),
        **_score(logits, labels, classes),
        "reset_every_frame": _score(forgetful, labels, classes),
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
def _answers(
    head: Head, streams: Sequence[FeatureStream], *, remembers: bool
) -> tuple[Tensor, Tensor]:
    """Logits (M, K) and labels (M,) of all labelled frames."""
    head.eval()
    logits, labels = [], []
    for stream in streams:
        if remembers:
            answer, _ = head(stream.features[:, None], head.start(1))  # (T, 1, K)
        else:
            answer, _ = head(stream.features[None], head.start(len(stream.labels)))  # (1, T, K)
        known = stream.labels != UNLABELLED
        logits.append(answer.flatten(0, 1)[known])
        labels.append(stream.labels[known])
    if not sum(map(len, labels)):
        raise FailureError(
            "no frame of the validation videos has a label; do the times lie within the videos?"
        )
    return torch.cat(logits), torch.cat(labels)
