"""The accuracy without any memory: the best head on single frames of the same encoder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from engines.train.evaluation.answers import UNKNOWN, Ints
from engines.train.evaluation.rolled import Rolled

Floats32 = NDArray[np.float32]

HEADS: Mapping[str, tuple[int, ...]] = {  # sizes of the hidden layers
    "linear": (),
    "MLP 128": (128,),
    "MLP 256": (256,),
    "MLP 256-128": (256, 128),
}
HELD_OUT = 5  # every fifth training stream is held out: to stop, and to choose the head
BATCH = 512  # frames
LEARNING_RATE = 2e-3  # AdamW, as for the heads with memory
WEIGHT_DECAY = 1e-2
EPOCHS = 40  # at most
PATIENCE = 4  # epochs without improvement


@dataclass(frozen=True, slots=True)
class FrameOnly:
    """The head that was best on held-out training streams."""

    name: str
    held_out: Mapping[str, float]  # accuracy of every head that was tried
    streams: int  # that were trained on or held out
    mean: Floats32  # (F,)
    spread: Floats32  # (F,)
    layers: Any  # nn.Sequential

    @torch.inference_mode()
    def answer(self, features: Floats32) -> Floats32:
        """Features (T, F) -> logits (T, K), each line by itself."""
        logits = self.layers(torch.from_numpy((features - self.mean) / self.spread))
        return np.asarray(logits.numpy())


@dataclass(frozen=True, slots=True)
class _LabelledFeatures:
    features: Any  # (M, F), standardised
    labels: Any  # (M,)


def train_frame_only(
    streams: Sequence[Rolled], *, classes: int, advance: Callable[[], object]
) -> FrameOnly:
    """Train every head of `HEADS`, and keep the best; `advance` is called after each.

    Streams that choose the best are not trained on.

    Raises `ValueError` if there are not two streams with labelled frames.
    """
    labelled = [stream for stream in streams if (stream.labels != UNKNOWN).any()]
    if len(labelled) < 2:
        raise ValueError(f"a frame-only head needs two labelled streams, not {len(labelled)}")
    features, labels = _gather([s for i, s in enumerate(labelled) if i % HELD_OUT])
    mean = features.mean(0)  # (F,)
    spread = features.std(0) + 1e-6  # (F,): that of a constant feature is 0
    training = _tensors((features - mean) / spread, labels)
    features, labels = _gather(labelled[::HELD_OUT])
    validation = _tensors((features - mean) / spread, labels)
    tried = {}
    for name, hidden in HEADS.items():
        tried[name] = _train(hidden, training, validation, classes=classes)
        advance()
    best = max(tried, key=lambda name: tried[name][0])
    held_out = {name: accuracy for name, (accuracy, _) in tried.items()}
    return FrameOnly(best, held_out, len(labelled), mean, spread, tried[best][1])


def _train(
    hidden: Sequence[int],
    training: _LabelledFeatures,
    validation: _LabelledFeatures,
    *,
    classes: int,
) -> tuple[float, Any]:
    """Train until the accuracy of `validation` stops rising; return the best one, and its head."""
    torch.manual_seed(0)
    layers = _layers(training.features.shape[1], hidden, classes)
    optimiser = torch.optim.AdamW(layers.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, kept, since = -1.0, layers.state_dict(), 0
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(training.labels)).split(BATCH):
            logits = layers(training.features[chosen])  # (B, F) -> (B, K)
            loss = functional.cross_entropy(logits, training.labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.inference_mode():
            answers = layers(validation.features).argmax(-1)  # (M, K) -> (M,)
            found = (answers == validation.labels).float().mean().item()
        since = 0 if found > best else since + 1
        if since == 0:
            best, kept = found, {k: v.clone() for k, v in layers.state_dict().items()}
        if since == PATIENCE:
            break
    layers.load_state_dict(kept)
    return best, layers


def _layers(features: int, hidden: Sequence[int], classes: int) -> Any:
    sizes = [features, *hidden]
    inner = [
        layer
        for before, after in pairwise(sizes)
        for layer in (nn.Linear(before, after), nn.ReLU())
    ]
    return nn.Sequential(*inner, nn.Linear(sizes[-1], classes))


def _gather(streams: Sequence[Rolled]) -> tuple[Floats32, Ints]:
    features = np.concatenate([stream.features for stream in streams])
    labels = np.concatenate([stream.labels for stream in streams])
    return features[labels != UNKNOWN], labels[labels != UNKNOWN]


def _tensors(features: Floats32, labels: Ints) -> _LabelledFeatures:
    return _LabelledFeatures(torch.from_numpy(features), torch.from_numpy(labels))
