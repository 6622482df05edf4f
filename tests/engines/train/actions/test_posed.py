"""On poses alone, in minutes: memory is worth more than any head without it can make up for."""

import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")
pytest.importorskip("numba", reason="rendering needs the extra longtake[train]")

import torch
from rich.progress import Progress

from engines.train.actions.posed import Posed, add_noise, pose
from engines.train.encoders.joint_networks import LIMBS, SkeletonHead
from engines.train.evaluation.frame_only import train_frame_only
from engines.train.evaluation.rolled import Rolled
from engines.train.heads import make_head
from engines.train.people.streams import ACTIONS
from tests.engines.train.rendered import actors

FRAMES = 2_000_000
FRAME_ONLY_STREAMS = 400  # of 160 frames


def frame_only_accuracy(posed: Posed) -> float:
    features = add_noise(posed.seen, seed=1)[:FRAME_ONLY_STREAMS].numpy()
    labels = posed.seen.labels[:FRAME_ONLY_STREAMS].numpy()
    seen = [Rolled(str(n), labels[n], features[n], {}) for n in range(FRAME_ONLY_STREAMS)]
    head = train_frame_only(seen, classes=len(ACTIONS), advance=lambda: None)
    answers = head.answer(posed.features.flatten(0, 1).numpy()).argmax(-1)
    return float((answers == posed.labels.flatten().numpy()).mean())


def test_a_head_with_memory_beats_the_best_without_by_15_points() -> None:
    torch.manual_seed(0)
    posed = pose(actors(), streams=2000, tests=60)
    head = SkeletonHead(make_head("gru", len(ACTIONS), features=LIMBS))
    posed.train(head, frames=FRAMES, progress=Progress(disable=True))
    accuracy, after_1s = posed.examine(head)
    alone = frame_only_accuracy(posed)
    print(f"memory {accuracy:.3f} ({after_1s:.3f} from 1 s), frame only {alone:.3f}")  # noqa: T201
    assert accuracy > alone + 0.15
    assert after_1s > accuracy
