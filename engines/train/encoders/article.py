"""The networks of the article that longtake began with, for training.

The article's listing cannot run as printed: it passes 86,528 flattened values of a picture to an
LSTM that expects sequences of 128. Here each frame goes through the convolutions and a linear layer
of 128, and the LSTM runs over the frames. `engines.model.seed` is the same network with random
weights.
"""

from torch import Tensor, nn

from engines.train.heads import LstmRelu, Recurrent
from engines.train.pictures import Input

SIDE, FILTERS, UNITS = 224, (32, 64, 128), 128
PICTURES = Input(SIDE, SIDE)  # (x - 0) / 255, the article's scale


class ArticleEncoder(nn.Module):
    """Pixels in [0, 1] (N, 3, S, S) -> features (N, 128)."""

    def __init__(self, side: int = SIDE) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for filters in FILTERS:  # 3x3 without padding, then 2x2 max pooling
            layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels, side = filters, (side - 2) // 2
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(channels * side * side, UNITS)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode."""
        features: Tensor = self.dense(self.convolutions(pixels).flatten(1))
        return features


def article_head(classes: int) -> Recurrent:
    """LSTM(128, activation="relu") and Dense(classes); the softmax is the bundle's."""
    return Recurrent(LstmRelu(UNITS, UNITS), nn.Linear(UNITS, classes))
