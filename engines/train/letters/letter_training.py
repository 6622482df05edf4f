"""Trains an encoder of letters and its head together, over streams whose memory is carried.

Truncated back-propagation through time: the memory goes from chunk to chunk, the gradient does not.
Shapes: T records of N lanes, L letters, F features, K classes.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.train.chunks import Chunk, carried
from engines.train.descent import descend
from engines.train.heads import Head

WARM_UP = 0.1  # of all steps: the learning rate rises
WEIGHT_DECAY = 1e-2


@dataclass(frozen=True, slots=True)
class LetterChunk:
    """The next T records of N lanes. Lanes that are `fresh` begin a stream with the first one."""

    letters: Tensor  # (T, N, L) uint8
    labels: Tensor  # (T, N)
    fresh: Tensor  # (N,) bool


def train_on(
    chunks: Iterable[LetterChunk],
    encoder: nn.Module,
    head: Head,
    *,
    steps: int,
    rate: float,
    label_smoothing: float = 0.0,
) -> None:
    """Train for `steps` chunks, up to the learning rate `rate` and down to none."""
    networks = nn.ModuleList([encoder, head]).train()
    optimiser = torch.optim.AdamW(networks.parameters(), rate, weight_decay=WEIGHT_DECAY)
    memory = head.start(0)
    for step, chunk in enumerate(chunks):
        features = encode(encoder, chunk.letters)  # (T, N, F)
        whole = Chunk(features, chunk.labels, chunk.fresh)
        logits, memory = head(features, carried(head, memory, whole))  # (T, N, K)
        loss = functional.cross_entropy(
            logits.flatten(0, 1), chunk.labels.flatten(), label_smoothing=label_smoothing
        )
        descend(optimiser, loss, rate=rate * _share(step / steps))
    networks.eval()


def encode(encoder: nn.Module, letters: Tensor) -> Tensor:
    """Encode the records of all lanes: (T, N, L) uint8 -> (T, N, F)."""
    features: Tensor = encoder(letters.flatten(0, 1).int())
    return features.unflatten(0, letters.shape[:2])


def _share(done: float) -> float:
    """Return the share of the learning rate after `done` (0 to 1) of the training."""
    if done < WARM_UP:
        return max(0.04, done / WARM_UP)
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
