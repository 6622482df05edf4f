"""The input of models that are trained on pictures: what a user says of it, and samples of it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from engines.model.inputs import Pixels
from engines.model.ports import Port

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class Input:
    """What pictures a model was trained on: size in pixels, and (x - mean) / std of 0 to 255.

    `fit` says how others are brought to this size: stretch, letterbox or crop. `rate_hz` is the
    frame rate of the training, None where it does not matter. torchvision's usual numbers are
    `IMAGENET_MEAN` and `IMAGENET_STD`.
    """

    height: int
    width: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    rate_hz: float | None = None

    @property
    def array(self) -> Port:
        """The input of the exported encoder."""
        return Port("frames", np.dtype(np.uint8), (self.height, self.width, 3))

    def normalise(self, frames: Tensor) -> Tensor:
        """Pixels uint8 (N, H, W, 3) -> float32 (N, 3, H, W)."""
        shifted = frames.float() - torch.tensor(self.mean)
        return (shifted / torch.tensor(self.std)).permute(0, 3, 1, 2)

    def describe(self) -> dict[str, JsonValue]:
        """Return the key `input` of `model.json`; `PictureInput` reads it."""
        return {
            "height": self.height,
            "width": self.width,
            "fit": self.fit,
            "colour": "rgb",
            "mean": list(self.mean),
            "std": list(self.std),
            "rate_hz": self.rate_hz,
        }

    def samples(self, count: int, seed: int = 0) -> Pixels:
        """Draw frames (T, H, W, 3) of coarse blocks that drift: to a network, noise looks alike."""
        rng = np.random.default_rng(seed)
        canvas = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        rows, columns = np.arange(self.height) * 7 // self.height, np.arange(self.width) * 7
        frames = np.empty((count, self.height, self.width, 3), np.uint8)
        for t in range(count):
            down, right = (t // 3) % 32, (t // 5) % 32
            moved = np.roll(canvas, (-down, -right), (0, 1))
            frames[t] = moved[rows][:, columns // self.width]
            canvas[rng.integers(32), rng.integers(32)] = rng.integers(0, 256, 3)
        return frames
