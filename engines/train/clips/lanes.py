"""Trains a head on features: streams side by side, their memory carried from chunk to chunk.

This is truncated back-propagation through time with a state: a head that only ever saw short
windows from an empty memory is at a loss on streams that go on.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.clips.epochs import train_epochs
from engines.train.clips.footage import UNLABELLED, StageReport
from engines.train.clips.reels import FeatureStream
from engines.train.clips.scoring import mean_loss
from engines.train.heads import Head, Memory

LANES = 16  # streams side by side at most: as many gradients are averaged
CHUNK = 32  # frames per step of the optimiser: how far back a gradient reaches
LONGEST = 900  # frames, a minute at 15 Hz: what is longer is cut, so that all lanes have work
EPOCH_FRAMES = 2048  # at least: a few clips are gone over again before anything is judged
PATIENCE = 10  # epochs: they cost seconds, and a recurrent head rests before it learns
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05  # of the labels, for honest scores
CLIP = 1.0  # the norm of a gradient: without it a recurrent head explodes now and then


@dataclass(frozen=True, slots=True)
class Chunk:
    """L frames of N lanes. A lane whose stream is over has no labels for the rest."""

    features: Tensor  # (L, N, F)
    labels: Tensor  # (L, N)
    fresh: Tensor  # (N,), whether a stream begins here


def train_head(
    head: Head,
    streams: Sequence[FeatureStream],
    *,
    epochs: int,
    seed: int,
    checkpoint: TrainingCheckpoint,
    report: StageReport,
) -> None:
    """Leave the head with the weights that did best on the streams of validation, run whole."""
    ours = [stream for stream in streams if not stream.validation]
    theirs = [stream for stream in streams if stream.validation]
    passes = -(-EPOCH_FRAMES // sum(len(stream.labels) for stream in ours))
    optimiser = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def train(rng: np.random.Generator, share_done: float) -> None:
        head.train()
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 - 0.9 * share_done)
        memory: Memory = ()
        for chunk in chain.from_iterable(side_by_side(ours, rng) for _ in range(passes)):
            logits, memory = head(chunk.features, carried(head, memory, chunk))  # (L, N, K)
            if (chunk.labels == UNLABELLED).all():
                continue
            loss = functional.cross_entropy(
                logits.flatten(0, 1),
                chunk.labels.flatten(),
                ignore_index=UNLABELLED,
                label_smoothing=SMOOTHING,
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(head.parameters(), CLIP)
            optimiser.step()

    train_epochs(
        "head", head, optimiser,
        epochs=epochs, earliest=1, patience=PATIENCE, seed=seed,
        train=train, judge=lambda: mean_loss(head, theirs), checkpoint=checkpoint, report=report,
    )  # fmt: skip


def side_by_side(streams: Sequence[FeatureStream], rng: np.random.Generator) -> Iterator[Chunk]:
    """Show every frame once: streams in a random order, the next where one is over."""
    waiting = deque(_pieces(streams, rng))
    lanes: list[deque[FeatureStream]] = [deque() for _ in range(min(LANES, len(waiting)))]
    while waiting or any(lanes):
        fresh = torch.tensor([not lane for lane in lanes])
        for lane in lanes:
            if not lane and waiting:
                lane.extend(_chunks(waiting.popleft(), int(rng.integers(1, CHUNK + 1))))
        parts = [_padded(lane.popleft() if lane else None, streams[0]) for lane in lanes]
        features, labels = zip(*parts, strict=True)
        yield Chunk(torch.stack(features, 1), torch.stack(labels, 1), fresh)


def _pieces(streams: Sequence[FeatureStream], rng: np.random.Generator) -> list[FeatureStream]:
    """Cut what is long, elsewhere in every epoch, and shuffle."""
    pieces = []
    for stream in streams:
        first = int(rng.integers(1, LONGEST + 1)) if len(stream.labels) > LONGEST else LONGEST
        pieces += list(_split(stream, first, LONGEST))
    return [pieces[n] for n in rng.permutation(len(pieces))]


def _chunks(stream: FeatureStream, first: int) -> Iterator[FeatureStream]:
    """The first chunk is shorter, so that streams are not always cut at the same frames."""
    return _split(stream, first, CHUNK)


def _split(stream: FeatureStream, first: int, length: int) -> Iterator[FeatureStream]:
    edges = [0, *range(first, len(stream.labels), length), len(stream.labels)]
    for start, end in pairwise(edges):
        features, labels = stream.features[start:end], stream.labels[start:end]
        yield FeatureStream(features, labels, stream.validation)


def _padded(part: FeatureStream | None, like: FeatureStream) -> tuple[Tensor, Tensor]:
    """Features (L, F) and labels (L,) of a whole chunk, whatever is there of it."""
    features = torch.zeros(CHUNK, like.features.shape[1])
    labels = torch.full((CHUNK,), UNLABELLED)
    if part is not None:
        features[: len(part.labels)] = part.features
        labels[: len(part.labels)] = part.labels
    return features, labels


def carried(head: Head, memory: Memory, chunk: Chunk) -> Memory:
    """The memory that the lanes of a chunk begin with; no gradient goes back through it."""
    if chunk.fresh.all():
        return head.start(len(chunk.fresh))
    return tuple(
        part.detach().masked_fill(chunk.fresh.reshape(-1, *[1] * (part.ndim - 1)), 0)
        for part in memory
    )
