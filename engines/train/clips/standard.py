"""Standardises features to mean 0 and deviation about 1, inside the encoder that is exported.

The features of an untrained encoder vary by a hundredth of their mean, and each trained encoder has
its own scale. A head on unscaled features learnt nothing in its first ten epochs.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from engines.train.clips.reels import FeatureStream

FLOOR = 0.05  # of the mean deviation: limits the scale of features that were almost constant


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
    """Measure mean and deviation on the training streams, and standardise all streams with them."""
    training = [stream.features for stream in streams if not stream.validation]
    features = torch.cat(training)  # (M, F), all frames
    deviation = features.std(0, correction=0)  # (F,)
    scale = 1 / (deviation + FLOOR * deviation.mean()).clamp(min=1e-6)
    standard = Standardised(encoder, features.mean(0), scale)
    return standard, [
        replace(stream, features=standard.standardise(stream.features)) for stream in streams
    ]
