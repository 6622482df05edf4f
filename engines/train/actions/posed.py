"""Compares heads on true joints with noise, in place of joints that an encoder found.

No picture is rendered and no encoder is trained, so a comparison takes minutes.
"""

from dataclasses import dataclass, replace

import torch
from rich.progress import Progress
from torch import Tensor

from engines.train.actions.head_training import Skeletons, train_action_head, true_skeletons
from engines.train.actions.recipe import ON_POSES, draw_takes
from engines.train.encoders.joint_networks import to_features
from engines.train.evaluation.demo import LENGTH
from engines.train.heads import Head
from engines.train.people.actors import Actors
from engines.train.people.streams import RATE_HZ

SEEN, NEW = 21, 22  # part of the seed: of the training streams, of the test streams


@dataclass(frozen=True, slots=True)
class Posed:
    """Streams to train on, and N test streams of T frames with other people."""

    seen: Skeletons
    features: Tensor  # (T, N, 64)
    labels: Tensor  # (T, N)
    onsets: Tensor  # (T, N), frames since the action began

    def train(self, head: Head, *, frames: int, progress: Progress) -> None:
        """Train a head with the noise of the recipe's first stage."""
        train_action_head(head, self.seen, replace(ON_POSES, frames=frames), progress)

    def examine(self, head: Head) -> tuple[float, float]:
        """Return the shares of right frames, memory carried: all, and from 1 s into an action."""
        with torch.inference_mode():
            logits, _ = head(self.features, head.start(self.labels.shape[1]))
        right = (logits.argmax(-1) == self.labels).float()
        return float(right.mean()), float(right[self.onsets >= RATE_HZ].mean())


def pose(actors: Actors, *, streams: int, tests: int, seed: int = 0) -> Posed:
    """Draw `streams` training and `tests` test streams, both in the training's motions."""
    seen = draw_takes(actors, [seed, SEEN], people="train", clips="train", count=streams)
    takes = draw_takes(
        actors, [seed, NEW], people="test", clips="train", count=tests, length=LENGTH
    )
    new = true_skeletons(takes)
    return Posed(
        true_skeletons(seen),
        features=add_noise(new, seed).transpose(0, 1),
        labels=new.labels.T,
        onsets=new.onsets.T,
    )


def add_noise(streams: Skeletons, seed: int) -> Tensor:
    """Return features (S, T, 64) of joints with the noise of the recipe's first stage."""
    generator = torch.Generator().manual_seed(seed)
    shape = streams.joints.shape
    noise = ON_POSES.noise * torch.randn(shape, generator=generator)
    bias = ON_POSES.bias * torch.randn((shape[0], 1, *shape[2:]), generator=generator)
    return to_features(streams.joints + noise + bias, streams.spreads)
