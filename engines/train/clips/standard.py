"""Brings features to a mean of 0 and a deviation of about 1, inside the encoder that is exported.

Features of an encoder that was never trained differ by a hundredth of their mean, those of others
by whatever they like; a head that has to find that out first learns nothing for ten epochs.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from engines.train.clips.reels import FeatureStream

FLOOR = 0.05  # of the mean deviation: a feature that never moved must not explode when it does


class Standardised(nn.Module):
    """An encoder whose features (N, F) are shifted and scaled."""

    def __init__(self, encoder: nn.Module, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode."""
        return self.standardise(self.encoder(pixels))

    def standardise(self, features: Tensor) -> Tensor:
        """Shift and scale (..., F)."""
        return (features - self.mean) * self.scale


def standardise(
    encoder: nn.Module, streams: Sequence[FeatureStream]
) -> tuple[Standardised, list[FeatureStream]]:
    """Measure the features of the training streams, and bring those of all streams to scale."""
    features = torch.cat([stream.features for stream in streams if not stream.validation])
    deviation = features.std(0, correction=0)
    scale = 1 / (deviation + FLOOR * deviation.mean()).clamp(min=1e-6)
    standard = Standardised(encoder, features.mean(0), scale)
    return standard, [
        replace(stream, features=standard.standardise(stream.features)) for stream in streams
    ]
