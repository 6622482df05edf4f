"""One step of gradient descent: learning rate, backward pass, clipping, step.

`clips.clip_head` shows the same step line by line.
"""

from torch import Tensor, nn
from torch.optim import Optimizer

LARGEST_NORM = 1.0  # of a gradient; larger ones are scaled down, so that one batch undoes little


def descend(optimiser: Optimizer, loss: Tensor, *, rate: float) -> None:
    """Go one step down the gradient of a scalar loss, at this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, LARGEST_NORM)
    optimiser.step()
