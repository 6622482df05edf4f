"""Trains encoder and head at once, with the article's own numbers and nothing that it lacks.

The article leaves open what a window is, at which frames of it the loss is taken, and how frames of
a window are cut from a video: WINDOW, every labelled one, and side by side without overlap here.
Each window begins with an empty memory, as in Keras.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.clips.footage import UNLABELLED, FailureError, StageReport
from engines.train.clips.reels import Reel, stretches
from engines.train.heads import Head
from engines.train.pictures import Input

# The article's, and Keras' defaults for what it does not say.
BATCH = 32
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.999)
EPSILON = 1e-7

WINDOW = 16  # frames, a second at 15 Hz: a longer one takes more memory, see below
AT_ONCE = 2  # windows; a frame of 224 x 224 takes 20 MB until it is back-propagated, so 650 MB.
# The gradients of a batch add up to those of its 32 windows.
CHECKPOINT_BATCHES = 10  # an epoch can take an hour


@dataclass(frozen=True, slots=True)
class Window:
    """At most 16 frames of a reel without a gap."""

    reel: Reel
    frames: slice


def train_end_to_end(
    encoder: nn.Module,
    head: Head,
    reels: Sequence[Reel],
    shape: Input,
    *,
    epochs: int,
    seed: int,
    checkpoint: TrainingCheckpoint,
    report: StageReport,
) -> None:
    """Train both for all of the epochs. There is no early stop: the last weights are kept."""
    windows = list(_windows(reels))
    if not windows:
        raise FailureError("no frame of the training videos has a label; do the times lie within?")
    network = nn.ModuleList([encoder, head])
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE, betas=BETAS, eps=EPSILON)
    batches = -(-len(windows) // BATCH)
    report.begin("article", epochs * batches)
    done = checkpoint.restore(network=network, optimiser=optimiser)
    if done:
        report.say(f"article: goes on after batch {done} of {epochs * batches}")
        report.reach(done)
    network.train()
    for step in range(done, epochs * batches):
        epoch, batch = divmod(step, batches)
        order = np.random.default_rng([seed, epoch]).permutation(len(windows))
        chosen = [windows[n] for n in order[batch * BATCH : (batch + 1) * BATCH]]
        optimiser.zero_grad()
        loss = sum(_back_propagate(encoder, head, shape, some) for some in _shares(chosen))
        loss /= sum(_labelled(window) for window in chosen)
        if not np.isfinite(loss):
            raise FailureError(
                f"the loss is {loss} in epoch {epoch + 1}: an LSTM with ReLU is unbounded, and"
                " exploded. Another --seed may not"
            )
        _divide_gradients(network, sum(_labelled(window) for window in chosen))
        optimiser.step()
        if (step + 1) % CHECKPOINT_BATCHES == 0 or batch == batches - 1:
            checkpoint.save(step + 1, network=network, optimiser=optimiser)
        report.reach(step + 1, f"epoch {epoch + 1}, loss {loss:.3f}")
    network.eval()


def _back_propagate(
    encoder: nn.Module, head: Head, shape: Input, windows: Sequence[Window]
) -> float:
    """Add the gradients of the summed loss of some windows, and return it."""
    frames, labels = _load(windows, shape)  # (N, T, H, W, 3), (N, T)
    features = encoder(shape.normalise(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])
    logits, _ = head(features.transpose(0, 1), head.start(len(windows)))  # (T, N, K)
    loss = functional.cross_entropy(
        logits.flatten(0, 1), labels.T.flatten(), ignore_index=UNLABELLED, reduction="sum"
    )
    loss.backward()
    return float(loss.item())


def _divide_gradients(network: nn.Module, count: int) -> None:
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad /= count


def _windows(reels: Sequence[Reel]) -> Iterator[Window]:
    for reel in reels:
        for part in () if reel.validation else stretches(reel.times_us):
            for start in range(part.start, part.stop, WINDOW):
                window = Window(reel, slice(start, min(start + WINDOW, part.stop)))
                if _labelled(window):
                    yield window


def _labelled(window: Window) -> int:
    return int((window.reel.labels[window.frames] != UNLABELLED).sum())


def _shares(windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
    return (windows[n : n + AT_ONCE] for n in range(0, len(windows), AT_ONCE))


def _load(windows: Sequence[Window], shape: Input) -> tuple[Tensor, Tensor]:
    """Pixels (N, T, H, W, 3) and labels (N, T); a short window is filled up without labels."""
    pixels = torch.zeros(len(windows), WINDOW, shape.height, shape.width, 3, dtype=torch.uint8)
    labels = torch.full((len(windows), WINDOW), UNLABELLED)
    for n, window in enumerate(windows):
        found = window.reel.labels[window.frames]
        pixels[n, : len(found)] = torch.from_numpy(np.array(window.reel.pixels[window.frames]))
        labels[n, : len(found)] = torch.from_numpy(found)
    return pixels, labels
