"""The encoders of letters: bytes in, features out. What a byte means is a table in the network.

Shapes: N records, L letters, F features. Means are products with 1/n: ONNX Runtime's ReduceMean
rounds a row by its place in the batch, so that a bundle with it does not pass its check.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.model.inputs import IUPAC
from engines.train.heads import Head, Memory

FEATURES = 96
BASES = "ACGT"


class TextEncoder(nn.Module):
    """Bytes of UTF-8 (N, L) -> features (N, F): an embedding, and convolutions that find letters.

    Byte 0 is none. The strongest answer of each filter, wherever it was, is a feature.
    """

    def __init__(self, features: int = FEATURES) -> None:
        super().__init__()
        self.table = nn.Embedding(256, 16, padding_idx=0)
        self.pairs = nn.Conv1d(16, 64, 3, padding=1)
        self.parts = nn.Conv1d(64, 128, 3, padding=1)
        self.out = nn.Linear(64 + 128, features)
        self.drop = nn.Dropout(0.25)

    def forward(self, letters: Tensor) -> Tensor:
        """Encode records."""
        x = self.table(letters).transpose(1, 2)  # (N, 16, L)
        x = functional.relu(self.pairs(x))  # (N, 64, L)
        y = functional.relu(self.parts(self.drop(x)))  # (N, 128, L)
        found = torch.cat([x.amax(2), y.amax(2)], 1)
        return functional.relu(self.out(self.drop(found)))


class BasesEncoder(nn.Module):
    """Letters of IUPAC (N, L) -> features (N, F). A letter for several bases is their mean.

    The second convolution moves by three: its places are codons of one reading frame.
    """

    table: Tensor

    def __init__(self, features: int = FEATURES, wide: int = 80) -> None:
        super().__init__()
        self.register_buffer("table", _base_table())
        self.motifs = nn.Conv1d(len(BASES), 48, 9, padding=4)
        self.codons = nn.Conv1d(48, wide, 9, stride=3, padding=3)
        self.words = nn.Conv1d(wide, wide, 3, padding=1)
        self.out = nn.Linear(3 * wide, features)
        self.drop = nn.Dropout(0.1)

    def forward(self, letters: Tensor) -> Tensor:
        """Encode records."""
        x = functional.embedding(letters, self.table).transpose(1, 2)  # (N, 4, L)
        x = functional.relu(self.motifs(x))
        x = functional.relu(self.codons(x))  # (N, W, L / 3)
        y = functional.relu(self.words(self.drop(x)))
        found = torch.cat([_mean(x), _mean(y), y.amax(2)], 1)
        return functional.relu(self.out(self.drop(found)))


class Forgetful(Head):
    """A head without memory, to compare with: two dense layers on one record's features."""

    def __init__(self, classes: int, features: int = FEATURES, dropout: float = 0.0) -> None:
        super().__init__()
        self.features, self.memory = features, {}
        self.classify = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(features, features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(features, classes),
        )

    def forward(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        return self.classify(features), memory

    def step(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        return self.classify(features), memory


def _base_table() -> Tensor:
    table = torch.zeros(256, len(BASES))
    for letter, bases in IUPAC.items():
        for base in bases:
            table[ord(letter), BASES.index(base)] = 1 / len(bases)
    return table


def _mean(x: Tensor) -> Tensor:
    """(N, C, P) -> (N, C)."""
    return (x @ torch.full((x.shape[2], 1), 1 / x.shape[2]))[:, :, 0]
