"""The demo's networks: an encoder that finds 16 joints in a picture, and the head's view of them.

The features are a skeleton with a spread for each joint, so the input of the head can be drawn.
"""

import torch
from torch import Tensor, nn

from engines.train.heads import Head, Memory
from engines.train.people.skeleton import JOINTS
from engines.train.people.streams import RATE_HZ
from engines.train.pictures import Input

SIZE = 96  # pixels
FEATURES = 4 * len(JOINTS)  # 64: x, y and depth of each joint, then the spread of each
LIMBS = FEATURES - 2  # 62: without x and depth of the root


def pictures(size: int = SIZE) -> Input:
    """The input of the encoder: square pictures, their pixels scaled to about [-2, 2]."""
    return Input(size, size, mean=(114.0,) * 3, std=(64.0,) * 3, rate_hz=RATE_HZ)


normalise = pictures().normalise


def to_features(joints: Tensor, spreads: Tensor) -> Tensor:
    """Joints (..., 16, 3) and spreads (..., 16) -> features (..., 64)."""
    return torch.cat([joints.flatten(-2), spreads], -1)


def to_limbs(features: Tensor) -> Tensor:
    """Skeletons relative to their root: features (..., 64) -> (..., 62) of about unit size.

    The person's place in the picture has no information about the action, so it is removed. Only
    the root's height stays: a person who lies on the ground is low in the picture.
    """
    joints = features[..., : 3 * len(JOINTS)].unflatten(-1, (len(JOINTS), 3))
    spreads = features[..., 3 * len(JOINTS) :]
    limbs = (joints[..., 1:, :] - joints[..., :1, :]) / 0.35  # (..., 15, 3)
    return torch.cat([limbs.flatten(-2), joints[..., 0, 1:2], (spreads - 0.15) / 0.1], -1)


class Encoder(nn.Module):
    """Normalised pixels (N, 3, H, W) -> joints (N, 16, 3) and spreads (N, 16), in half pictures.

    Each joint has a map of H/8 x W/8 places. Its softmax is the probability that the joint is at a
    place: the mean is the joint's position, the deviation its spread. A second map has the depth
    behind the root.
    """

    def __init__(self, height: int = SIZE, width: int = SIZE) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            _conv(3, 48, kernel=7, stride=4),
            _Residual(48),
            _conv(48, 64, stride=2),
            _Residual(64),
        )
        self.coarse = nn.Sequential(_conv(64, 128, stride=2), _Residual(128))
        # A shuffle only moves values, in the same way on every engine. The backward pass of a
        # transposed convolution in bfloat16 took longer than all other layers together.
        self.enlarge = nn.Sequential(nn.Conv2d(128, 4 * 64, 1), nn.PixelShuffle(2))
        self.maps = nn.Sequential(_conv(64, 64), nn.Conv2d(64, 2 * len(JOINTS), 1))
        x, y = _centres(width // 8), _centres(height // 8)
        x, y = x.repeat(len(y)), y.repeat_interleave(len(x))  # (P,) of P places
        moments = torch.stack([x, y, x * x + y * y, torch.ones_like(x)], -1)  # (P, 4)
        self.register_buffer("moments", moments, persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Find the joints."""
        return self.locate(self.look(pixels))

    def look(self, pixels: Tensor) -> Tensor:
        """Compute the maps (N, 32, P): for each joint and place, a logit (16) and a depth (16)."""
        fine = self.fine(pixels)  # (N, 64, H/8, W/8)
        maps: Tensor = self.maps(fine + self.enlarge(self.coarse(fine)))
        return maps.flatten(2)

    def locate(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Reduce maps (N, 32, P) to joints, in float32: 16 bits round to a fifth of a pixel."""
        likely, depths = maps.float().split(len(JOINTS), 1)
        likely = likely.softmax(-1)  # (N, 16, P)
        # One product for all sums: ONNX Runtime's ReduceSum rounds differently at other addresses.
        sums = torch.cat([likely, likely * depths], 1) @ self.moments.float()  # (N, 32, 4)
        of_place, of_depth = sums.split(len(JOINTS), 1)
        position, square = of_place[..., :2], of_place[..., 2]
        x, y = position.unbind(-1)
        variance = square - x * x - y * y
        joints = torch.cat([position, of_depth[..., 3:]], -1)
        return joints, (variance.relu() + 1e-4).sqrt()


class SkeletonEncoder(nn.Module):
    """Normalised pixels (N, 3, H, W) -> features (N, 64): the encoder of the bundle."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """Find the skeleton."""
        return to_features(*self.encoder(pixels))


class SkeletonHead(Head):
    """Wraps a head for limbs (N, 62), so that it takes the encoder's features (N, 64)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head, self.features, self.memory = head, FEATURES, head.memory

    def forward(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        logits, memory = self.head(to_limbs(features), memory)
        return logits, memory

    def step(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        return self.head.step(to_limbs(features), memory)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


def _conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _centres(places: int) -> Tensor:
    return (torch.arange(places) + 0.5) / places * 2 - 1
