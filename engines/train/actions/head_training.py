"""Trains the head: first on true joints, which cost nothing, then on what the encoder finds.

Streams run on from chunk to chunk with their state carried, as they do in production: a head that
only knows short windows from an empty memory loses 15 points on streams that never end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress, TaskID
from torch import Tensor
from torch.nn import functional

from engines.train.actions.encoder_training import find_joints
from engines.train.descent import descend
from engines.train.encoders.joint_networks import Encoder, normalise, to_features
from engines.train.heads import Head, Memory
from engines.train.people.skeleton import MIRRORED
from engines.train.people.streams import ACTIONS, MIRRORED_ACTIONS, Take

LANES = 96  # streams side by side: the number of different actions in a step is what counts
CHUNK = 20  # frames per step of the optimiser
KEEP = 0.3  # of the streams begin with the state of another one: a camera cut nobody told us of
SMOOTHING = 0.05  # of the labels, for honest scores
WARM_UP = 4  # first frames of an empty memory, which no one can label: no loss
UNSURE = 4  # frames after an onset: the picture fades over from the last action ...
UNSURE_WEIGHT = 0.3  # ... so the label is not to be trusted
WEIGHT_DECAY = 0.02
TYPICAL_SPREAD = 0.15  # stands for what only an encoder can tell


@dataclass(frozen=True, slots=True)
class HeadStage:
    """One round of training. Noise is in half pictures and makes joints as bad as found ones."""

    frames: int
    learning_rate: float
    noise: float  # different in every frame
    bias: float  # the same for a whole stream
    seed: int


@dataclass(frozen=True, slots=True)
class Skeletons:
    """S streams of T frames as the encoder sees them. What the head is trained on."""

    joints: Tensor  # (S, T, 16, 3)
    spreads: Tensor  # (S, T, 16)
    labels: Tensor  # (S, T)
    onsets: Tensor  # (S, T)

    def take(self, streams: NDArray[np.intp], frames: NDArray[np.intp]) -> "Skeletons":
        """Cut one chunk of each stream: streams (N,), frames (N, L) -> (N, L) of everything."""
        rows = torch.from_numpy(streams)[:, None], torch.from_numpy(frames)
        return Skeletons(
            self.joints[rows], self.spreads[rows], self.labels[rows], self.onsets[rows]
        )

    def mirror(self, lanes: Tensor) -> "Skeletons":
        """Show the streams where `lanes` (N,) is true as in a mirror: left turns become right."""
        mirrored = self.joints[:, :, MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])
        return replace(
            self,
            joints=torch.where(lanes[:, None, None, None], mirrored, self.joints),
            spreads=torch.where(lanes[:, None, None], self.spreads[:, :, MIRRORED], self.spreads),
            labels=torch.where(
                lanes[:, None], torch.from_numpy(MIRRORED_ACTIONS)[self.labels], self.labels
            ),
        )


def true_skeletons(takes: Sequence[Take]) -> Skeletons:
    """What a perfect encoder would see: no pixel is rendered."""
    joints = torch.from_numpy(np.stack([take.joints() for take in takes]))
    spreads = torch.full(joints.shape[:-1], TYPICAL_SPREAD)
    return _labelled(takes, joints, spreads)


@torch.inference_mode()
def found_skeletons(encoder: Encoder, take: Take, frames: NDArray[np.uint8]) -> Skeletons:
    """What the encoder finds in the pictures (T, H, W, 3) of a take."""
    joints, spreads = find_joints(encoder, normalise(torch.from_numpy(frames)))
    return _labelled([take], joints[None], spreads[None])


def join(parts: Sequence[Skeletons]) -> Skeletons:
    """Put streams of one length together."""
    return Skeletons(
        torch.cat([part.joints for part in parts]),
        torch.cat([part.spreads for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.onsets for part in parts]),
    )


def train_head(head: Head, streams: Skeletons, stage: HeadStage, progress: Progress) -> None:
    """Run one stage of stateful, truncated back-propagation through time."""
    torch.manual_seed(stage.seed)
    lanes = _Lanes(streams, np.random.default_rng(stage.seed), stage, head.start(LANES))
    optimiser = torch.optim.AdamW(head.parameters(), stage.learning_rate, weight_decay=WEIGHT_DECAY)
    steps = max(1, stage.frames // (LANES * CHUNK))
    task = progress.add_task(f"head, stage {stage.seed}", total=steps)
    head.train()
    for step in range(steps):
        features, labels, weights = lanes.next_chunk()
        logits, memory = head(features, lanes.memory)
        lanes.memory = tuple(part.detach() for part in memory)
        loss = label_loss(logits, labels, weights)
        rate = stage.learning_rate * min(1, (step + 1) / 50) * (1 - 0.97 * step / steps)
        descend(optimiser, loss, rate=rate)
        _show(progress, task, stage, loss)
    head.eval()


class _Lanes:
    """96 streams side by side, each at its own place, with the memory that is carried."""

    def __init__(
        self, streams: Skeletons, rng: np.random.Generator, stage: HeadStage, memory: Memory
    ) -> None:
        self.streams, self.rng, self.stage = streams, rng, stage
        self.count, self.length = streams.labels.shape
        self.which = np.zeros(LANES, np.intp)
        self.at = np.full(LANES, self.length)  # every lane is at its end: all begin anew
        self.age = np.zeros(LANES, np.intp)  # frames since the state was empty
        self.mirrored = torch.zeros(LANES, dtype=torch.bool)
        self.bias = torch.zeros(LANES, 1, *streams.joints.shape[2:])
        self.memory = memory

    def next_chunk(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features (L, N, 64), labels (L, N) and the weight of each frame's loss (L, N)."""
        for lane in np.flatnonzero(self.at + CHUNK > self.length):
            self._begin(lane)
        frames = self.at[:, None] + np.arange(CHUNK)
        chunk = self.streams.take(self.which, frames).mirror(self.mirrored)
        joints = chunk.joints + self.bias + self.stage.noise * torch.randn_like(chunk.joints)
        weights = torch.where(chunk.onsets < UNSURE, UNSURE_WEIGHT, 1.0)
        weights[torch.from_numpy(self.age == 0), :WARM_UP] = 0
        self.at += CHUNK
        self.age += CHUNK
        features = to_features(joints, chunk.spreads)
        return features.transpose(0, 1), chunk.labels.T, weights.T

    def _begin(self, lane: np.intp) -> None:
        self.which[lane] = self.rng.integers(self.count)
        self.at[lane] = self.rng.integers(CHUNK)  # chunks must not always cut at the same frames
        self.mirrored[lane] = self.rng.random() < 0.5
        self.bias[lane] = self.stage.bias * torch.randn_like(self.bias[lane])
        if self.rng.random() >= KEEP:
            self.age[lane] = 0
            for part in self.memory:
                part[lane] = 0


def label_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the cross entropy: (T, N, K) against (T, N), weighted by (T, N)."""
    losses = functional.cross_entropy(
        logits.reshape(-1, len(ACTIONS)),
        labels.reshape(-1),
        label_smoothing=SMOOTHING,
        reduction="none",
    )
    return (losses * weights.reshape(-1)).sum() / weights.sum()


def _labelled(takes: Sequence[Take], joints: Tensor, spreads: Tensor) -> Skeletons:
    labels = torch.from_numpy(np.stack([take.labels for take in takes]))
    onsets = torch.from_numpy(np.stack([take.onsets for take in takes]))
    return Skeletons(joints, spreads, labels, onsets)


def _show(progress: Progress, task: TaskID, stage: HeadStage, loss: Tensor) -> None:
    text = f"head, stage {stage.seed}: loss {loss.item():.3f}"
    progress.update(task, advance=1, description=text)
