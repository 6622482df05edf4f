"""One step of gradient descent, as every training here takes it."""

from torch import Tensor, nn
from torch.optim import Optimizer

LARGEST_NORM = 1.0  # of a gradient: one odd batch must not throw away what was learnt


def descend(optimiser: Optimizer, loss: Tensor, *, rate: float) -> None:
    """Go one step down the gradient of the loss, at this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, LARGEST_NORM)
    optimiser.step()
