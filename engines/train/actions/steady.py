"""A head with hysteresis: it changes its label only if another one is clearly more probable."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.train.heads import Head, Memory

MARGINS = np.arange(0, 0.51, 0.01)  # of a probability
SHARPNESSES = np.arange(0.4, 1.61, 0.05)
LOST = 0.003  # of the accuracy may be lost for fewer changes
LEAD = 0.01  # of the answer's logit: 0.0025 of a probability at most


class Steady(Head):
    """A head whose label changes only if the new one is more probable by `margin`.

    With calibrated scores the margin is the expected gain of the change in this frame. A margin of
    logits cost more accuracy for as few changes: it lets guesses pass that gain almost nothing. The
    logit of the answered label is raised to just above all others, so the scores stay about as
    calibrated as before (the logarithm of a raised probability would not have the same bits in
    every batch). All logits are then multiplied by `sharpness`, the reciprocal of a temperature
    (Guo et al. 2017). The label that is held is a tensor of the memory, so it survives a crash.
    Only for labels of which exactly one is true.
    """

    def __init__(self, head: Head, classes: int, *, margin: float, sharpness: float = 1.0) -> None:
        super().__init__()
        self.head, self.features = head, head.features
        self.memory = {**head.memory, "held": (classes,)}
        self.margin, self.sharpness = margin, sharpness

    def forward(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        *own, held = memory
        logits, left = self.head(features, tuple(own))
        logits, held = self.hold(logits, held)
        return logits, (*left, held)

    def hold(self, logits: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (T, N, K) and the held label (N, K), one-hot -> steady logits, next held label."""
        steady = []
        for frame in logits:
            answer, held = self._hold(frame, held)
            steady.append(answer)
        return torch.stack(steady), held

    def step(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        *own, held = memory
        logits, left = self.head.step(features, tuple(own))
        logits, held = self._hold(logits, held)
        return logits, (*left, held)

    def _hold(self, logits: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """One step: logits (N, K) and the held label (N, K), one-hot -> the same of this frame."""
        best = (logits.softmax(-1) + self.margin * held).argmax(-1, keepdim=True)
        answer = torch.arange(logits.shape[-1]) == best  # (N, K)
        leading = logits.amax(-1, keepdim=True) + LEAD
        return self.sharpness * torch.where(answer, leading, logits), answer.to(logits.dtype)


@torch.inference_mode()
def steadied(head: Head, features: Tensor, labels: Tensor) -> Steady:
    """Wrap a head with the widest margin that costs 0.3 points of accuracy at most.

    The sharpness is the one with the smallest cross-entropy. Both are chosen on labelled streams,
    features (T, N, F) and labels (T, N). These must be like those of production: on the streams of
    its training a head's scores are too high.
    """
    logits, _ = head(features, head.start(features.shape[1]))  # (T, N, K)
    classes = logits.shape[-1]

    def answers(margin: float, sharpness: float) -> Tensor:
        judge = Steady(head, classes, margin=margin, sharpness=sharpness)
        return judge.hold(logits, torch.zeros_like(logits[0]))[0]

    accuracies = [float((answers(m, 1).argmax(-1) == labels).float().mean()) for m in MARGINS]
    free = [m for m, a in zip(MARGINS, accuracies, strict=True) if a >= accuracies[0] - LOST]
    margin = round(float(max(free)), 2)
    losses = [
        float(functional.cross_entropy(answers(margin, s).flatten(0, 1), labels.flatten()))
        for s in SHARPNESSES
    ]
    sharpness = float(SHARPNESSES[int(np.argmin(losses))])
    return Steady(head, classes, margin=margin, sharpness=round(sharpness, 2))
