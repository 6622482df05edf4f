"""Encoders in float16. The only place that checks the range of float16."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from engines.errors import BundleError, VerificationError

LARGEST = torch.finfo(torch.float16).max  # 65,504


class HalfEncoder(nn.Module):
    """An encoder in float16 whose input and output are float32: (N, 3, H, W) -> (N, F)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode."""
        features: Tensor = self.encoder(pixels.half())
        return features.float()


def float16_copy(encoder: nn.Module) -> HalfEncoder:
    """Copy an encoder into float16. Raises `BundleError` for a weight that is too large."""
    for name, weight in encoder.state_dict().items():
        if weight.is_floating_point() and _peak(weight) > LARGEST:
            raise BundleError(
                f"the encoder's {name} holds {_peak(weight):,.0f}, float16 ends at {LARGEST:,.0f}:"
                ' export with precision="float32"'
            )
    return HalfEncoder(deepcopy(encoder).half())


@contextmanager
def within_range(encoder: nn.Module) -> Iterator[None]:
    """Raise `VerificationError` as soon as a layer of `encoder` outputs what float16 cannot hold.

    The encoder runs in float32 meanwhile, so that the message can name the number.
    """
    hooks = [m.register_forward_hook(_range_check(name)) for name, m in encoder.named_modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _range_check(layer: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def check(module: nn.Module, _: tuple[object, ...], given: object) -> None:
        if isinstance(given, Tensor) and not _peak(given) <= LARGEST:  # NaN fails as well
            raise VerificationError(
                f"the encoder's {layer or 'last layer'} ({type(module).__name__}) gives"
                f" {_peak(given):,.0f}, float16 ends at {LARGEST:,.0f}, so no bundle is written:"
                ' export with precision="float32", or train with a normalisation before this layer'
            )

    return check


def _peak(values: Tensor) -> float:
    return float(values.detach().abs().max()) if values.numel() else 0.0
