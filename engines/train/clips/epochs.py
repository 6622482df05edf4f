"""Epoch after epoch until it gets no better, in a way that a kill leaves no trace of.

Whatever is random in an epoch is drawn from the seed and its number, so that nothing has to be kept
but weights, the optimiser and the best so far.
"""

import copy
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import nn

from engines.train.checkpoint import TrainingCheckpoint
from engines.train.clips.footage import FailureError, StageReport, StateDict


class Best:
    """The weights with the smallest loss in validation, and the losses of all epochs so far.

    Those of epochs before `earliest` are out of the question; 0 is before the first one.
    """

    def __init__(self, earliest: int) -> None:
        self.earliest = earliest
        self.losses: list[float] = []  # the first is that of the untrained network
        self.weights: StateDict = {}

    def judge(self, loss: float, network: nn.Module) -> None:
        """Take note of the loss after an epoch, and of the weights if it is the smallest."""
        if not math.isfinite(loss):
            raise FailureError(
                f"the loss in validation is {loss} after {len(self.losses)} epochs: the weights"
                " have exploded. Those of another --seed or --head may not"
            )
        self.losses.append(loss)
        if self.age == 0:
            self.weights = copy.deepcopy(network.state_dict())

    @property
    def epoch(self) -> int:
        """The epoch after which they were found."""
        candidates = self.losses[self.earliest :] or self.losses
        return len(self.losses) - len(candidates) + candidates.index(min(candidates))

    @property
    def age(self) -> int:
        """How many epochs ago that was."""
        return len(self.losses) - 1 - self.epoch

    def state_dict(self) -> StateDict:
        """See `Stateful`."""
        return {"losses": self.losses, "weights": self.weights}

    def load_state_dict(self, state: StateDict, /) -> None:
        """See `Stateful`."""
        self.losses, self.weights = list(state["losses"]), state["weights"]


class Epoch(Protocol):
    """Trains one epoch; what is random in it comes from the generator, and from torch's own."""

    def __call__(self, rng: np.random.Generator, share_done: float) -> None:
        """`share_done` of the training lies behind, from 0 to below 1."""


def train_epochs(
    what: str,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    epochs: int,
    earliest: int,
    patience: int,
    seed: int,
    train: Epoch,
    judge: Callable[[], float],
    checkpoint: TrainingCheckpoint,
    report: StageReport,
) -> None:
    """Train until `patience` epochs have brought nothing, and leave the network at its best.

    `earliest` is the first epoch whose weights may be the best, 0 if it may stay untrained.
    """
    report.begin(what, epochs)
    best = Best(earliest)
    done = checkpoint.restore(network=network, optimiser=optimiser, best=best)
    if done:
        report.say(f"{what}: goes on after epoch {done}")
        report.reach(done)
    else:
        best.judge(judge(), network)
    for epoch in range(done, epochs):
        if best.age >= patience:
            break
        train(_draw_from(seed, epoch), epoch / epochs)
        best.judge(judge(), network)
        checkpoint.save(epoch + 1, network=network, optimiser=optimiser, best=best)
        report.reach(epoch + 1, f"loss {best.losses[-1]:.3f}, best {best.losses[best.epoch]:.3f}")
    network.load_state_dict(best.weights)
    network.eval()
    report.say(f"{what}: {_conclusion(best)}")


def _conclusion(best: Best) -> str:
    kept = f"kept what it was after epoch {best.epoch} of {len(best.losses) - 1}"
    if best.epoch == 0:
        kept = f"none of {best.age} epochs did better in validation than the weights it began with"
    return f"{kept}, loss {best.losses[best.epoch]:.3f}"


def _draw_from(seed: int, epoch: int) -> np.random.Generator:
    rng = np.random.default_rng([seed, epoch])
    torch.manual_seed(int(rng.integers(1 << 31)))  # dropout draws from torch
    return rng
