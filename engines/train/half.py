"""Encoders in float16, and what float16 cannot hold. The only place that knows its range."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from engines.errors import BundleError, VerificationError

LARGEST = torch.finfo(torch.float16).max  # 65,504


class HalfEncoder(nn.Module):
    """Runs an encoder of float16 between pixels and features of float32."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode."""
        features: Tensor = self.encoder(pixels.half())
        return features.float()


def halved(encoder: nn.Module) -> HalfEncoder:
    """Copy an encoder into float16. Raises `BundleError` for a weight that is too large for it."""
    for name, weight in encoder.state_dict().items():
        if weight.is_floating_point() and _peak(weight) > LARGEST:
            raise BundleError(
                f"the encoder's {name} holds {_peak(weight):,.0f}, float16 ends at {LARGEST:,.0f}:"
                ' export with precision="float32"'
            )
    return HalfEncoder(deepcopy(encoder).half())


@contextmanager
def within_range(encoder: nn.Module) -> Iterator[None]:
    """Raise `VerificationError` as soon as a layer of `encoder` gives what float16 cannot hold.

    The encoder runs in float32: there, a number that is too large still has a size.
    """
    hooks = [m.register_forward_hook(_look_at(name)) for name, m in encoder.named_modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _look_at(layer: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def look(module: nn.Module, _: tuple[object, ...], given: object) -> None:
        if isinstance(given, Tensor) and not _peak(given) <= LARGEST:  # NaN is no pass either
            raise VerificationError(
                f"the encoder's {layer or 'last layer'} ({type(module).__name__}) gives"
                f" {_peak(given):,.0f}, float16 ends at {LARGEST:,.0f}, so no bundle is written:"
                ' export with precision="float32", or train with a normalisation before this layer'
            )

    return look


def _peak(values: Tensor) -> float:
    return float(values.detach().abs().max()) if values.numel() else 0.0
