"""Trains encoder and head together, with the article's hyperparameters and no others.

The article does not define its sequences. Here they are windows of WINDOW frames, cut from a video
one after the other without overlap, with a loss at every labelled frame. Each window begins with an
empty memory, as in Keras.

Shapes: N windows, T frames of a window, F features, K classes.
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

# The article's numbers, and Keras' defaults where it has none.
BATCH = 32
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.999)
EPSILON = 1e-7

WINDOW = 16  # frames, a second at 15 Hz: the memory for gradients grows with it, see AT_ONCE
# Windows in one backward pass: a frame of 224 x 224 takes 20 MB until then, so 650 MB for two. The
# gradients of all passes are added, and the optimiser steps once for the whole batch.
AT_ONCE = 2
CHECKPOINT_BATCHES = 10  # an epoch can take an hour


@dataclass(frozen=True, slots=True)
class Window:
    """At most WINDOW frames of a reel, without a gap between them."""

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
    """Train both in place for all epochs, and keep the last weights: there is no early stop."""
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
        # one random order for an epoch, the same after a kill
        order = np.random.default_rng([seed, epoch]).permutation(len(windows))
        chosen = [windows[n] for n in order[batch * BATCH : (batch + 1) * BATCH]]
        optimiser.zero_grad()
        loss = sum(_back_propagate(encoder, head, shape, some) for some in _parts(chosen))
        loss /= sum(_count_labelled(window) for window in chosen)
        if not np.isfinite(loss):
            raise FailureError(
                f"the loss is {loss} in epoch {epoch + 1}: an LSTM with ReLU is unbounded, and"
                " exploded. Another --seed may not"
            )
        _divide_gradients(network, sum(_count_labelled(window) for window in chosen))
        optimiser.step()
        if (step + 1) % CHECKPOINT_BATCHES == 0 or batch == batches - 1:
            checkpoint.save(step + 1, network=network, optimiser=optimiser)
        report.reach(step + 1, f"epoch {epoch + 1}, loss {loss:.3f}")
    network.eval()


def _back_propagate(
    encoder: nn.Module, head: Head, shape: Input, windows: Sequence[Window]
) -> float:
    """Add the gradients of the summed loss of some windows, and return this loss."""
    frames, labels = _load_windows(windows, shape)  # (N, T, H, W, 3), (N, T)
    pixels = shape.normalise(frames.flatten(0, 1))  # (N * T, 3, H, W)
    features = encoder(pixels).unflatten(0, frames.shape[:2])  # (N * T, F) -> (N, T, F)
    logits, _ = head(features.transpose(0, 1), head.start(len(windows)))  # (T, N, K)
    loss = functional.cross_entropy(
        logits.flatten(0, 1),  # (T * N, K)
        labels.T.flatten(),  # (T * N,)
        ignore_index=UNLABELLED,
        reduction="sum",  # the batch is divided by its labelled frames at the end
    )
    loss.backward()
    return float(loss.item())


def _divide_gradients(network: nn.Module, count: int) -> None:
    """Turn the gradient of a sum over frames into that of their mean."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad /= count


def _windows(reels: Sequence[Reel]) -> Iterator[Window]:
    for reel in reels:
        for part in () if reel.validation else stretches(reel.times_us):
            for start in range(part.start, part.stop, WINDOW):
                window = Window(reel, slice(start, min(start + WINDOW, part.stop)))
                if _count_labelled(window):
                    yield window


def _count_labelled(window: Window) -> int:
    return int((window.reel.labels[window.frames] != UNLABELLED).sum())


def _parts(windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
    return (windows[n : n + AT_ONCE] for n in range(0, len(windows), AT_ONCE))


def _load_windows(windows: Sequence[Window], shape: Input) -> tuple[Tensor, Tensor]:
    """Read pixels (N, T, H, W, 3) and labels (N, T); the end of a short window has no labels."""
    pixels = torch.zeros(len(windows), WINDOW, shape.height, shape.width, 3, dtype=torch.uint8)
    labels = torch.full((len(windows), WINDOW), UNLABELLED)
    for n, window in enumerate(windows):
        found = window.reel.labels[window.frames]
        pixels[n, : len(found)] = torch.from_numpy(np.array(window.reel.pixels[window.frames]))
        labels[n, : len(found)] = torch.from_numpy(found)
    return pixels, labels
