"""Trains encoder and head together for a while: the encoder learns which errors of it hurt."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import starmap

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from engines.train.actions.encoder_training import RENDERERS, find_joints, joint_loss
from engines.train.actions.head_training import (
    UNSURE,
    UNSURE_WEIGHT,
    WARM_UP,
    WEIGHT_DECAY,
    label_loss,
)
from engines.train.checkpoint import TrainingCheckpoint
from engines.train.descent import descend
from engines.train.encoders.joint_networks import SIZE, Encoder, normalise, to_features
from engines.train.heads import Head, Memory
from engines.train.people.actors import Actors
from engines.train.people.skeleton import MIRRORED
from engines.train.people.streams import MIRRORED_ACTIONS, Take, random_take

LANES, LENGTH, CHUNK = 32, 160, 8  # streams side by side, their frames, frames of a step: 256
LEARNING_RATE = 3e-4  # a seventh of the encoder's own
FIRST_STEPS = 50  # of the optimiser, at a lower rate
JOINTS_WEIGHT = 3.0  # features must stay a skeleton


@dataclass(frozen=True, slots=True)
class Streams:
    """N streams of T frames with all that is known of them."""

    pictures: Tensor  # (T, N, H, W, 3) uint8
    joints: Tensor  # (T, N, 16, 3)
    labels: Tensor  # (T, N)
    weights: Tensor  # (T, N), of the loss

    def chunks(self, frames: int) -> Iterator["Streams"]:
        """Cut them in time."""
        parts = (self.pictures, self.joints, self.labels, self.weights)
        return starmap(Streams, zip(*(part.split(frames) for part in parts), strict=True))


def polish(
    encoder: Encoder,
    head: Head,
    actors: Actors,
    *,
    frames: int,
    seed: int,
    checkpoint: TrainingCheckpoint,
    progress: Progress,
) -> None:
    """Train both in place, in rounds of 32 streams, each seen once from its beginning."""
    optimiser = torch.optim.AdamW(
        [*encoder.parameters(), *head.parameters()], LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    parts = {"encoder": encoder, "head": head, "optimiser": optimiser}
    first, last = checkpoint.restore(**parts), max(1, frames // (LANES * LENGTH))
    steps = last * LENGTH // CHUNK
    task = progress.add_task("polish", total=steps)
    encoder.eval()  # streams of 32 people are too few to renew the statistics of batch norm
    head.train()
    for number in range(first, last):
        torch.manual_seed(number)  # dropout
        memory = head.start(LANES)
        for i, chunk in enumerate(_streams(actors, seed, number).chunks(CHUNK)):
            step = number * LENGTH // CHUNK + i
            loss, memory = _loss(encoder, head, chunk, memory)
            warmth, cold = min(1, (step + 1) / FIRST_STEPS), 0.95 * step / steps
            descend(optimiser, loss, rate=LEARNING_RATE * warmth * (1 - cold))
            text = f"polish: loss {loss.item():.3f}"
            progress.update(task, completed=step + 1, description=text)
        checkpoint.save(number + 1, **parts)
    head.eval()


def _loss(encoder: Encoder, head: Head, chunk: Streams, memory: Memory) -> tuple[Tensor, Memory]:
    """What the labels and the joints of a chunk say, and the memory after it."""
    pixels = normalise(chunk.pictures.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
    joints, spreads = find_joints(encoder, pixels)
    features = to_features(joints, spreads).unflatten(0, chunk.labels.shape)
    logits, memory = head(features, memory)
    of_joints = joint_loss(joints, chunk.joints.flatten(0, 1))
    loss = label_loss(logits, chunk.labels, chunk.weights) + JOINTS_WEIGHT * of_joints
    return loss, tuple(part.detach() for part in memory)


def _streams(actors: Actors, seed: int, number: int) -> Streams:
    """Draw the streams of a round, every second one as in a mirror."""

    def one(lane: int) -> tuple[Take, NDArray[np.uint8]]:
        rng = np.random.default_rng([seed, 4, number, lane])
        take = random_take(actors, rng, people="train", clips="train", length=LENGTH)
        return take, take.pixels(actors, size=SIZE)

    with ThreadPoolExecutor(RENDERERS) as pool:
        drawn = list(pool.map(one, range(LANES)))
    takes = [take for take, _ in drawn]
    pictures = np.stack([pictures for _, pictures in drawn], 1)
    joints = np.stack([take.joints() for take in takes], 1)
    labels = np.stack([take.labels for take in takes], 1)
    pictures[:, ::2] = pictures[:, ::2, :, ::-1]
    joints[:, ::2] = joints[:, ::2, MIRRORED] * np.array([-1, 1, 1], np.float32)
    labels[:, ::2] = MIRRORED_ACTIONS[labels[:, ::2]]
    unsure = np.stack([take.onsets for take in takes], 1) < UNSURE
    weights = torch.where(torch.from_numpy(unsure), UNSURE_WEIGHT, 1.0)
    weights[:WARM_UP] = 0
    return Streams(
        torch.from_numpy(pictures), torch.from_numpy(joints), torch.from_numpy(labels), weights
    )
