"""A head that is trained for seconds already needs its memory."""

import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")
pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")

import torch
from rich.progress import Progress

from engines.train.actions.head_training import (
    HeadStage,
    Skeletons,
    train_action_head,
    true_skeletons,
)
from engines.train.encoders.joint_networks import LIMBS, SkeletonHead, to_features
from engines.train.heads import Head, make_head
from engines.train.people.streams import ACTIONS
from tests.engines.train.rendered import take

STAGE = HeadStage(frames=500_000, learning_rate=3e-3, noise=0.03, bias=0.03, seed=0)


def accuracy(head: Head, streams: Skeletons, *, chunk: int) -> float:
    """Share of right answers if the memory is emptied after each chunk of frames."""
    features = to_features(streams.joints, streams.spreads)  # (S, T, F)
    pieces = features.unflatten(1, (-1, chunk)).flatten(0, 1)  # (S * T / chunk, chunk, F)
    with torch.inference_mode():
        logits, _ = head(pieces.transpose(0, 1), head.start(len(pieces)))
    answers = logits.argmax(-1).T.reshape(streams.labels.shape)
    return float((answers == streams.labels).float().mean())


def test_people_never_seen_are_told_apart_and_only_with_memory() -> None:
    torch.manual_seed(0)
    head = SkeletonHead(make_head("lstm", len(ACTIONS), features=LIMBS))
    seen = true_skeletons([take(seed, length=160) for seed in range(400)])
    train_action_head(head, seen, STAGE, Progress(disable=True))
    new = true_skeletons([take(1000 + s, people="test", length=160) for s in range(40)])
    carried, forgotten = accuracy(head, new, chunk=160), accuracy(head, new, chunk=1)
    assert carried > 0.5
    assert carried > forgotten + 0.12
