"""Trains encoder and head together: the encoder learns which of its errors change the action.

Shapes: T frames, N streams, F features, K actions.
"""

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
    BLIND,
    UNSURE,
    UNSURE_WEIGHT,
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

LANES = 32  # streams side by side
LENGTH = 160  # frames of each stream
CHUNK = 8  # frames per step of the optimiser: 8 x 32 pictures are in memory with their gradients
LEARNING_RATE = 3e-4  # a seventh of the encoder's own: it is trained already
RAMP = 50  # first steps, in which the learning rate rises
LAST_RATE = 0.05  # of LEARNING_RATE, at the last step
JOINTS_WEIGHT = 3.0  # of the joints' loss: the features must stay a skeleton that can be drawn


@dataclass(frozen=True, slots=True)
class Streams:
    """N streams of T frames, with joints, labels and the weights of their loss."""

    pictures: Tensor  # (T, N, H, W, 3) uint8
    joints: Tensor  # (T, N, 16, 3)
    labels: Tensor  # (T, N)
    weights: Tensor  # (T, N), of the loss

    def chunks(self, frames: int) -> Iterator["Streams"]:
        """Cut the streams in time, into chunks of `frames` frames."""
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
    """Train both in place. A round plays 32 new streams from their first frame to their last."""
    optimiser = torch.optim.AdamW(
        [*encoder.parameters(), *head.parameters()], LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    parts = {"encoder": encoder, "head": head, "optimiser": optimiser}
    first, last = checkpoint.restore(**parts), max(1, frames // (LANES * LENGTH))
    steps = last * LENGTH // CHUNK
    task = progress.add_task("polish", total=steps)
    encoder.eval()  # batch norm keeps its statistics: the 32 people of a chunk are too few
    head.train()
    for number in range(first, last):
        torch.manual_seed(number)  # dropout
        memory = head.start(LANES)  # (N, ...): each round's streams are new
        for i, chunk in enumerate(_round_streams(actors, seed, number).chunks(CHUNK)):
            step = number * LENGTH // CHUNK + i
            loss, memory = _loss(encoder, head, chunk, memory)
            ramp, decay = min(1, (step + 1) / RAMP), 1 - (1 - LAST_RATE) * step / steps
            descend(optimiser, loss, rate=LEARNING_RATE * ramp * decay)
            text = f"polish: loss {loss.item():.3f}"
            progress.update(task, completed=step + 1, description=text)
        checkpoint.save(number + 1, **parts)
    head.eval()


def _loss(encoder: Encoder, head: Head, chunk: Streams, memory: Memory) -> tuple[Tensor, Memory]:
    """Return the loss of labels and joints over a chunk, and the memory after it, detached."""
    pixels = normalise(chunk.pictures.flatten(0, 1))  # (T, N, H, W, 3) -> (T * N, 3, H, W)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    joints, spreads = find_joints(encoder, pixels)  # (T * N, 16, 3), (T * N, 16)
    features = to_features(joints, spreads).unflatten(0, chunk.labels.shape)  # (T, N, 64)
    logits, memory = head(features, memory)  # (T, N, K)
    of_joints = joint_loss(joints, chunk.joints.flatten(0, 1))
    loss = label_loss(logits, chunk.labels, chunk.weights) + JOINTS_WEIGHT * of_joints
    return loss, tuple(part.detach() for part in memory)


def _round_streams(actors: Actors, seed: int, number: int) -> Streams:
    """Draw and render the streams of a round, every second one mirrored."""

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
    weights[:BLIND] = 0
    return Streams(
        torch.from_numpy(pictures), torch.from_numpy(joints), torch.from_numpy(labels), weights
    )
