"""A network of PyTorch becomes a bundle: an encoder for pictures, a GRU that remembers.

Its weights are random. With your own, load them where it says so.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from engines.train import Input, Recurrent, export

LABELS = ["nobody", "somebody"]


def main(path: Path) -> None:
    """Write the bundle; nothing is written unless it answers as PyTorch does."""
    torch.manual_seed(0)
    encoder = nn.Sequential(  # (N, 3, 64, 64) -> (N, 16)
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    head = Recurrent(nn.GRU(16, 32, batch_first=True), nn.Linear(32, len(LABELS)))
    # your weights: encoder.load_state_dict(torch.load("encoder.pt", weights_only=True))
    pictures = Input(64, 64, mean=(114.0,) * 3, std=(64.0,) * 3, fit="letterbox", rate_hz=15.0)
    export(encoder, head, labels=LABELS, input=pictures, path=path, name=path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
