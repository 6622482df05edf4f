"""Trains the demo's head on skeletons: true ones, or ones that the encoder found.

The method is that of `clips.clip_head`: truncated back-propagation through time with a carried
state. A head that is only trained on short windows, each from an empty memory, loses 15 points of
accuracy on streams that never end.

Shapes: S streams, T frames, N lanes, F features, K actions.
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
from engines.train.chunks import Chunk, carried
from engines.train.descent import descend
from engines.train.encoders.joint_networks import Encoder, normalise, to_features
from engines.train.heads import Head, Memory
from engines.train.people.skeleton import MIRRORED
from engines.train.people.streams import ACTIONS, MIRRORED_ACTIONS, Take

LANES = 96  # streams side by side: a good gradient needs many different actions in one step
CHUNK = 20  # frames per step of the optimiser: how far back a gradient reaches, 1.3 s
KEEP = 0.3  # of the streams begin with the memory of another stream: a camera may cut unannounced
SMOOTHING = 0.05  # of the labels: without it the scores are too close to 0 and 1
BLIND = 4  # first frames after an empty memory: too few to recognise an action, so without loss
UNSURE = 4  # frames after an onset: the motion fades over from the last action ...
UNSURE_WEIGHT = 0.3  # ... so the label may be wrong there
RAMP = 50  # first steps, in which the learning rate rises: AdamW's averages are noisy at first
LAST_RATE = 0.03  # of the learning rate, at the last step
WEIGHT_DECAY = 0.02
TYPICAL_SPREAD = 0.15  # of true joints: only an encoder has a measured spread


@dataclass(frozen=True, slots=True)
class HeadStage:
    """One stage of training. Noise, in half pictures, stands for the errors of an encoder."""

    frames: int
    learning_rate: float
    noise: float  # different in every frame
    bias: float  # the same for a whole stream
    seed: int


@dataclass(frozen=True, slots=True)
class Skeletons:
    """S streams of T frames, as an encoder outputs them, with their labels."""

    joints: Tensor  # (S, T, 16, 3)
    spreads: Tensor  # (S, T, 16)
    labels: Tensor  # (S, T)
    onsets: Tensor  # (S, T), frames since the action began

    def take(self, streams: NDArray[np.intp], frames: NDArray[np.intp]) -> "Skeletons":
        """Cut frames (N, T) out of the chosen streams (N,) -> N streams of T frames."""
        rows = torch.from_numpy(streams)[:, None], torch.from_numpy(frames)
        return Skeletons(
            self.joints[rows], self.spreads[rows], self.labels[rows], self.onsets[rows]
        )

    def mirror(self, lanes: Tensor) -> "Skeletons":
        """Mirror the streams where `lanes` (S,) is true: left turns become right turns."""
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
    """Return the skeletons that a perfect encoder would find. No pixel is rendered."""
    joints = torch.from_numpy(np.stack([take.joints() for take in takes]))
    spreads = torch.full(joints.shape[:-1], TYPICAL_SPREAD)
    return _with_labels(takes, joints, spreads)


@torch.inference_mode()
def found_skeletons(encoder: Encoder, take: Take, frames: NDArray[np.uint8]) -> Skeletons:
    """Run the encoder over the pictures (T, H, W, 3) of a take: one stream."""
    joints, spreads = find_joints(encoder, normalise(torch.from_numpy(frames)))
    return _with_labels([take], joints[None], spreads[None])


def join(parts: Sequence[Skeletons]) -> Skeletons:
    """Concatenate streams of the same length: (S, T) of all parts together."""
    return Skeletons(
        torch.cat([part.joints for part in parts]),
        torch.cat([part.spreads for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.onsets for part in parts]),
    )


def train_action_head(head: Head, streams: Skeletons, stage: HeadStage, progress: Progress) -> None:
    """Train a head in place for one stage: a number of steps, without validation."""
    torch.manual_seed(stage.seed)
    lanes = _Lanes(streams, np.random.default_rng(stage.seed), stage)
    optimiser = torch.optim.AdamW(head.parameters(), stage.learning_rate, weight_decay=WEIGHT_DECAY)
    steps = max(1, stage.frames // (LANES * CHUNK))
    task = progress.add_task(f"head, stage {stage.seed}", total=steps)
    memory: Memory = ()  # all lanes are fresh in the first chunk
    head.train()
    for step in range(steps):
        chunk, weights = lanes.next_chunk()  # features (T, N, 64), labels and weights (T, N)
        memory = carried(head, memory, chunk)  # (N, ...), without its gradient
        logits, memory = head(chunk.features, memory)  # (T, N, K)
        loss = label_loss(logits, chunk.labels, weights)
        ramp, decay = min(1, (step + 1) / RAMP), 1 - (1 - LAST_RATE) * step / steps
        descend(optimiser, loss, rate=stage.learning_rate * ramp * decay)
        _show(progress, task, stage, loss)
    head.eval()


class _Lanes:
    """96 streams side by side, each at its own place, and where their memories begin anew."""

    def __init__(self, streams: Skeletons, rng: np.random.Generator, stage: HeadStage) -> None:
        self.streams, self.rng, self.stage = streams, rng, stage
        self.count, self.length = streams.labels.shape
        self.which = np.zeros(LANES, np.intp)  # the stream of each lane
        self.at = np.full(LANES, self.length)  # its next frame; all are at their end, and begin
        self.age = np.zeros(LANES, np.intp)  # frames since the memory was empty
        self.mirrored = torch.zeros(LANES, dtype=torch.bool)
        self.bias = torch.zeros(LANES, 1, *streams.joints.shape[2:])  # (N, 1, 16, 3)

    def next_chunk(self) -> tuple[Chunk, Tensor]:
        """Return the next frames of all lanes, and the weight of each frame's loss (T, N)."""
        for lane in np.flatnonzero(self.at + CHUNK > self.length):
            self._begin(lane)
        fresh = torch.from_numpy(self.age == 0)  # (N,)
        frames = self.at[:, None] + np.arange(CHUNK)  # (N, T)
        cut = self.streams.take(self.which, frames).mirror(self.mirrored)
        # An encoder's errors: some differ from frame to frame, some stay with the person.
        joints = cut.joints + self.bias + self.stage.noise * torch.randn_like(cut.joints)
        weights = torch.where(cut.onsets < UNSURE, UNSURE_WEIGHT, 1.0)  # (N, T)
        weights[fresh, :BLIND] = 0
        self.at += CHUNK
        self.age += CHUNK
        features = to_features(joints, cut.spreads)  # (N, T, 16, 3), (N, T, 16) -> (N, T, 64)
        return Chunk(features.transpose(0, 1), cut.labels.T, fresh), weights.T

    def _begin(self, lane: np.intp) -> None:
        """Let a lane play another stream, usually from an empty memory."""
        self.which[lane] = self.rng.integers(self.count)
        self.at[lane] = self.rng.integers(CHUNK)  # so that chunks are cut at different frames
        self.mirrored[lane] = self.rng.random() < 0.5
        self.bias[lane] = self.stage.bias * torch.randn_like(self.bias[lane])
        if self.rng.random() >= KEEP:
            self.age[lane] = 0


def label_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the cross-entropy of logits (T, N, K) to labels (T, N): weights (T, N)."""
    losses = functional.cross_entropy(
        logits.reshape(-1, len(ACTIONS)),  # (T, N, K) -> (T * N, K)
        labels.reshape(-1),  # (T, N) -> (T * N,)
        label_smoothing=SMOOTHING,
        reduction="none",
    )
    return (losses * weights.reshape(-1)).sum() / weights.sum()


def _with_labels(takes: Sequence[Take], joints: Tensor, spreads: Tensor) -> Skeletons:
    labels = torch.from_numpy(np.stack([take.labels for take in takes]))
    onsets = torch.from_numpy(np.stack([take.onsets for take in takes]))
    return Skeletons(joints, spreads, labels, onsets)


def _show(progress: Progress, task: TaskID, stage: HeadStage, loss: Tensor) -> None:
    text = f"head, stage {stage.seed}: loss {loss.item():.3f}"
    progress.update(task, advance=1, description=text)
