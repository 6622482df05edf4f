"""The demo's networks: an encoder that finds 16 joints in a picture, and a head that sees them.

Between the two goes a skeleton and how sure the encoder is of it, so that what the head sees can be
drawn.
"""

import torch
from torch import Tensor, nn

from engines.train.heads import Head, Memory
from engines.train.people.skeleton import JOINTS
from engines.train.people.streams import RATE_HZ
from engines.train.pictures import Input

SIZE = 96  # pixels
FEATURES = 4 * len(JOINTS)  # 64: x, y and depth of each joint, then the spread of each
LIMBS = FEATURES - 2  # 62


def pictures(size: int = SIZE) -> Input:
    """What the encoder is trained on: square pictures, their pixels brought to about [-2, 2]."""
    return Input(size, size, mean=(114.0,) * 3, std=(64.0,) * 3, rate_hz=RATE_HZ)


normalise = pictures().normalise


def to_features(joints: Tensor, spreads: Tensor) -> Tensor:
    """Joints (..., 16, 3) and spreads (..., 16) -> features (..., 64)."""
    return torch.cat([joints.flatten(-2), spreads], -1)


def to_limbs(features: Tensor) -> Tensor:
    """See a skeleton from its root: features (..., 64) -> (..., 62) of about unit size.

    Where the person stands in the picture means nothing. Only the root's height stays, for who
    lies on the ground is low in the picture.
    """
    joints = features[..., : 3 * len(JOINTS)].unflatten(-1, (len(JOINTS), 3))
    spreads = features[..., 3 * len(JOINTS) :]
    limbs = (joints[..., 1:, :] - joints[..., :1, :]) / 0.35
    return torch.cat([limbs.flatten(-2), joints[..., 0, 1:2], (spreads - 0.15) / 0.1], -1)


class Encoder(nn.Module):
    """Normalised pixels (N, 3, H, W) -> joints (N, 16, 3) and spreads (N, 16), in half pictures.

    Each joint has a map of H/8 x W/8 places. Its softmax says where the joint is: the mean is its
    position, the deviation its spread; a second map holds the depth behind the root.
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
        # A shuffle only moves values, on every engine alike. The backward pass of a transposed
        # convolution in bfloat16 took longer than that of all the rest together.
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
        """Draw the maps (N, 32, P): how likely each joint is at each place, and how deep."""
        fine = self.fine(pixels)  # (N, 64, H/8, W/8)
        maps: Tensor = self.maps(fine + self.enlarge(self.coarse(fine)))
        return maps.flatten(2)

    def locate(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Read the maps, in float32: 16 bits would round positions to a fifth of a pixel."""
        likely, depths = maps.float().split(len(JOINTS), 1)
        likely = likely.softmax(-1)  # (N, 16, P)
        # One product for all sums: ONNX Runtime rounds a ReduceSum by where a row lies in memory.
        sums = torch.cat([likely, likely * depths], 1) @ self.moments.float()  # (N, 32, 4)
        of_place, of_depth = sums.split(len(JOINTS), 1)
        position, square = of_place[..., :2], of_place[..., 2]
        x, y = position.unbind(-1)
        variance = square - x * x - y * y
        joints = torch.cat([position, of_depth[..., 3:]], -1)
        return joints, (variance.relu() + 1e-4).sqrt()


class SkeletonEncoder(nn.Module):
    """Normalised pixels (N, 3, H, W) -> features (N, 64): what goes into a bundle."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """Find the skeleton."""
        return to_features(*self.encoder(pixels))


class SkeletonHead(Head):
    """Any head for the limbs (N, 62) of a skeleton, made to take the encoder's features (N, 64)."""

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
