"""Trains an encoder that knows nothing yet, on frames that have nothing to do with each other.

Neighbouring frames of a video are almost one, and a batch of them teaches little. So frames are
drawn across all videos, and a linear layer names their class; it is thrown away afterwards.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.clips.epochs import train_epochs
from engines.train.clips.footage import UNLABELLED, FailureError, StageReport
from engines.train.clips.reels import Reel
from engines.train.pictures import Input

BATCH = 32
EPOCH_FRAMES = 4096  # at most: a checkpoint is then never more than some minutes away
LEAST_FRAMES = 512  # of an epoch: a few clips are gone over again before anything is judged
JUDGED_FRAMES = 1024  # of validation, spread evenly: as sure as 3 % ever gets
PATIENCE = 5  # epochs
LEARNING_RATE = 1e-3  # AdamW's usual one, for networks with and without batch norm
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05  # of the labels: one frame often cannot tell, and must not learn to be sure
GAIN, SHIFT = 0.2, 20.0  # of brightness, each way: other cameras, other hours
CLIP = 1.0  # the norm of a gradient


def train_on_stills(
    encoder: nn.Module,
    reels: Sequence[Reel],
    shape: Input,
    *,
    features: int,
    classes: int,
    epochs: int,
    seed: int,
    checkpoint: TrainingCheckpoint,
    report: StageReport,
) -> None:
    """Leave the encoder with the weights that did best in validation, its first ones included.

    Nothing is mirrored: what a video shows may be about left and right, and an encoder that cannot
    tell them apart leaves nothing to the head.
    """
    network = nn.Sequential(encoder, nn.Linear(features, classes))
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    ours, theirs = (_labelled(reels, validation=side) for side in (False, True))
    judged = theirs[np.linspace(0, len(theirs) - 1, min(len(theirs), JUDGED_FRAMES)).astype(int)]

    def train(rng: np.random.Generator, share_done: float) -> None:
        network.train()
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 - 0.9 * share_done)
        passes = -(-LEAST_FRAMES // len(ours))
        drawn = np.concatenate([rng.permutation(ours) for _ in range(passes)])[:EPOCH_FRAMES]
        for part in np.array_split(drawn, max(1, len(drawn) // BATCH)):
            pixels, labels = _load(reels, part)
            logits = network(shape.normalise(_vary(pixels, rng)))
            loss = functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()

    @torch.inference_mode()
    def judge() -> float:
        network.eval()
        loss = 0.0
        for part in np.array_split(judged, max(1, len(judged) // BATCH)):
            pixels, labels = _load(reels, part)
            logits = network(shape.normalise(pixels))
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        return loss / len(judged)

    train_epochs(
        "encoder", network, optimiser,
        epochs=epochs, earliest=0, patience=PATIENCE, seed=seed,
        train=train, judge=judge, checkpoint=checkpoint, report=report,
    )  # fmt: skip


def _labelled(reels: Sequence[Reel], *, validation: bool) -> NDArray[np.int64]:
    """Where the labelled frames of one side are: (N, 2) of reel and frame."""
    found = [
        np.stack([np.full(len(frames), n), frames], 1)
        for n, reel in enumerate(reels)
        if reel.validation == validation
        for frames in [np.flatnonzero(reel.labels != UNLABELLED)]
    ]
    places = np.concatenate(found)
    if len(places) == 0:
        raise FailureError(
            f"no frame of the {'validation' if validation else 'training'} videos has a label; do"
            " the times of the table lie within the videos?"
        )
    return places


def _load(reels: Sequence[Reel], places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Pixels (N, H, W, 3) and labels (N,)."""
    pixels = np.stack([reels[n].pixels[frame] for n, frame in places])
    return torch.from_numpy(pixels), torch.tensor([reels[n].labels[frame] for n, frame in places])


def _vary(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Make each picture brighter or darker, and its contrast more or less: (N, H, W, 3)."""
    gain = torch.from_numpy(rng.uniform(1 - GAIN, 1 + GAIN, (len(pixels), 1, 1, 1))).float()
    shift = torch.from_numpy(rng.uniform(-SHIFT, SHIFT, (len(pixels), 1, 1, 1))).float()
    return (pixels * gain + shift).clamp(0, 255)
