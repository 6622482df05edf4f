"""Trains an encoder that has no weights yet, on single frames.

Neighbouring frames of a video are nearly the same, and a batch of them has little information. So
frames are drawn across all videos. A linear layer names their class; it is thrown away afterwards.

Shapes: N frames of a batch, H x W pixels, K classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.clips.best import Best
from engines.train.clips.footage import UNLABELLED, FailureError, StageReport
from engines.train.clips.reels import Reel
from engines.train.descent import descend
from engines.train.pictures import Input

BATCH = 32  # frames
EPOCH_FRAMES = 4096  # at most: there is a checkpoint after each epoch, so every few minutes
LEAST_FRAMES = 512  # of an epoch: a few short clips are repeated before each validation
JUDGED_FRAMES = 1024  # of validation, spread evenly: they give an accuracy to about 3 points
PATIENCE = 5  # epochs without improvement
LEARNING_RATE = 1e-3  # AdamW's default, for networks with and without batch norm
LAST_RATE = 0.1  # of LEARNING_RATE: where the rate would be after the last epoch
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05  # of the labels: one frame is often ambiguous, and scores must stay moderate
GAIN, SHIFT = 0.2, 20.0  # of brightness, up and down: other cameras, other times of day


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
    """Train an encoder in place, and leave it with the weights that did best in validation.

    The weights that it began with may be the best ones. Frames are never mirrored: classes may
    differ by left and right, and the head cannot separate what the encoder maps to the same
    features. The loop is that of `train_clip_head`, which explains each part of it.
    """
    network = nn.Sequential(encoder, nn.Linear(features, classes))  # (N, 3, H, W) -> (N, K)
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    training, validation = (_labelled_places(reels, validation=side) for side in (False, True))
    spread = np.linspace(0, len(validation) - 1, min(len(validation), JUDGED_FRAMES)).astype(int)
    judged = validation[spread]
    best = Best(earliest=0)

    report.begin("encoder", epochs)
    done = checkpoint.restore(network=network, optimiser=optimiser, best=best)
    if done:
        report.say(f"encoder: goes on after epoch {done}")
        report.reach(done)
    else:
        best.judge(_mean_loss(network, reels, judged, shape), network)

    for epoch in range(done, epochs):
        if best.age >= PATIENCE:
            break
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(int(rng.integers(1 << 31)))  # dropout draws from torch
        rate = LEARNING_RATE * (1 - (1 - LAST_RATE) * (epoch / epochs))

        network.train()
        passes = -(-LEAST_FRAMES // len(training))  # rounded up
        drawn = np.concatenate([rng.permutation(training) for _ in range(passes)])[:EPOCH_FRAMES]
        for places in np.array_split(drawn, max(1, len(drawn) // BATCH)):
            pixels, labels = _load(reels, places)  # (N, H, W, 3), (N,)
            # (N, H, W, 3) -> (N, 3, H, W) -> (N, K)
            logits = network(shape.normalise(_vary_light(pixels, rng)))
            loss = functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
            descend(optimiser, loss, rate=rate)

        best.judge(_mean_loss(network, reels, judged, shape), network)
        checkpoint.save(epoch + 1, network=network, optimiser=optimiser, best=best)
        report.reach(epoch + 1, f"loss {best.losses[-1]:.3f}, best {best.losses[best.epoch]:.3f}")

    network.load_state_dict(best.weights)
    network.eval()
    report.say(f"encoder: {best.summary()}")


@torch.inference_mode()
def _mean_loss(
    network: nn.Module, reels: Sequence[Reel], judged: NDArray[np.int64], shape: Input
) -> float:
    """Mean cross-entropy of the frames at these places, without smoothing and variation."""
    network.eval()
    loss = 0.0
    for places in np.array_split(judged, max(1, len(judged) // BATCH)):
        pixels, labels = _load(reels, places)
        logits = network(shape.normalise(pixels))
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
    return loss / len(judged)


def _labelled_places(reels: Sequence[Reel], *, validation: bool) -> NDArray[np.int64]:
    """Find the labelled frames of one side: (M, 2), number of the reel and number of the frame."""
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
    """Read the pixels (N, H, W, 3) and the labels (N,) at these places (N, 2)."""
    pixels = np.stack([reels[n].pixels[frame] for n, frame in places])
    return torch.from_numpy(pixels), torch.tensor([reels[n].labels[frame] for n, frame in places])


def _vary_light(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Change brightness and contrast of each picture: (N, H, W, 3) -> (N, H, W, 3), 0 to 255."""
    gain = torch.from_numpy(rng.uniform(1 - GAIN, 1 + GAIN, (len(pixels), 1, 1, 1))).float()
    shift = torch.from_numpy(rng.uniform(-SHIFT, SHIFT, (len(pixels), 1, 1, 1))).float()
    return (pixels * gain + shift).clamp(0, 255)
