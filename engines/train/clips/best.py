"""The weights with the smallest validation loss, and the end of a training that stops improving."""

import copy
import math

from torch import nn

from engines.train.clips.footage import FailureError, StateDict


class Best:
    """The weights with the smallest loss in validation, and the losses of all epochs so far.

    Weights of epochs before `earliest` are never chosen; epoch 0 is the network before training.
    Part of the checkpoint, so a resumed training chooses and stops as an uninterrupted one.
    """

    def __init__(self, earliest: int) -> None:
        self.earliest = earliest
        self.losses: list[float] = []  # by epoch; the first is that of the untrained network
        self.weights: StateDict = {}

    def judge(self, loss: float, network: nn.Module) -> None:
        """Record the loss after an epoch, and copy the weights if it is the smallest one.

        Raises `FailureError` if the loss is not finite.
        """
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
        """The epoch with the smallest loss; the first of equal ones."""
        candidates = self.losses[self.earliest :] or self.losses
        return len(self.losses) - len(candidates) + candidates.index(min(candidates))

    @property
    def age(self) -> int:
        """How many epochs have passed since then without a smaller loss."""
        return len(self.losses) - 1 - self.epoch

    def summary(self) -> str:
        """Describe for the user which weights were kept."""
        loss = self.losses[self.epoch]
        if self.epoch == 0:
            return (
                f"none of {self.age} epochs did better in validation than the weights it began"
                f" with, loss {loss:.3f}"
            )
        return (
            f"kept what it was after epoch {self.epoch} of {len(self.losses) - 1}, loss {loss:.3f}"
        )

    def state_dict(self) -> StateDict:
        """See `Stateful`."""
        return {"losses": self.losses, "weights": self.weights}

    def load_state_dict(self, state: StateDict, /) -> None:
        """See `Stateful`."""
        self.losses, self.weights = list(state["losses"]), state["weights"]
