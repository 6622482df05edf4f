"""Heads: features and a stream's memory in, logits and its next memory out.

A head has two methods that compute the same: `forward` runs a whole sequence, for training, and
`step` runs one frame in plain operations, for the bundle. The memory is a tuple of tensors
(N, *shape), in the order of `memory`; zeros are the memory of a stream before its first frame.

Shapes: N streams, T frames, F features, K classes, L layers, U units.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Memory = tuple[Tensor, ...]
Activation = Callable[[Tensor], Tensor]
HeadName = Literal["rnn", "lstm", "lstm_relu", "gru", "transformer"]
HEADS: tuple[HeadName, ...] = get_args(HeadName)


class Head(nn.Module, ABC):
    """The contract of a head. `memory` names its tensors: name -> shape without the leading N."""

    features: int
    memory: Mapping[str, tuple[int, ...]]

    @abstractmethod
    def forward(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Run T steps of N streams: (T, N, F) and memory -> logits (T, N, K) and memory."""

    @abstractmethod
    def step(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Run one step: (N, F) and memory -> logits (N, K) and memory."""

    def start(self, streams: int) -> Memory:
        """Return the memory of streams before their first frame: zeros."""
        return tuple(torch.zeros(streams, *shape) for shape in self.memory.values())


class LstmRelu(nn.LSTM):
    """An LSTM whose candidate and output go through ReLU: Keras' LSTM(activation="relu").

    The gates stay sigmoid. The cell is unbounded: with large features its values can explode.
    """

    def forward(  # type: ignore[override]
        self, features: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `nn.LSTM`: (T, N, F) and h, c (L, N, U) -> (T, N, U) and h, c."""
        h, c = state
        outputs = []
        for frame in features:
            output, (h, c) = _lstm(self, frame, (h, c))
            outputs.append(output)
        return torch.stack(outputs), (h, c)


class Recurrent(Head):
    """A head of PyTorch's own `nn.LSTM`, `nn.GRU` or `nn.RNN`, of any number of layers.

    `embed` (N, F) -> (N, E) comes before it, `classify` (N, U) -> (N, K) after it. The memory is
    `h`, and for an LSTM also `c`: (U,) a stream, or (L, U) if there are L layers. Raises
    `ValueError` for a cell that cannot run frame by frame.
    """

    def __init__(
        self,
        cell: nn.LSTM | nn.GRU | nn.RNN,
        classify: nn.Module,
        *,
        embed: nn.Module | None = None,
        features: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._step = _step_of(cell)
        if cell.bidirectional:
            raise ValueError("a bidirectional cell looks into the future; a live stream has none")
        if getattr(cell, "proj_size", 0):
            raise ValueError("an LSTM with proj_size is not supported; project in the classifier")
        if embed is not None and features is None:
            raise ValueError("say how many `features` go into `embed`")
        self.cell, self.classify = cell, classify
        self.embed = nn.Identity() if embed is None else embed
        self.drop = nn.Dropout(dropout)
        self.features = cell.input_size if features is None else features
        shape = (cell.hidden_size,) if cell.num_layers == 1 else (cell.num_layers, cell.hidden_size)
        self.memory = dict.fromkeys(("h", "c") if isinstance(cell, nn.LSTM) else ("h",), shape)

    def forward(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        embedded = self.embed(features)  # (T, N, E)
        if self.cell.batch_first:
            embedded = embedded.transpose(0, 1)
        state = tuple(self._by_layer(part).contiguous() for part in memory)  # (L, N, U) each
        given = state if isinstance(self.cell, nn.LSTM) else state[0]
        outputs, left = self.cell(embedded, given)  # (T, N, U)
        if self.cell.batch_first:
            outputs = outputs.transpose(0, 1)
        parts = left if isinstance(left, tuple) else (left,)
        return self.classify(self.drop(outputs)), tuple(self._by_row(part) for part in parts)

    def step(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        state = tuple(self._by_layer(part) for part in memory)
        output, left = self._step(self.cell, self.embed(features), state)
        return self.classify(self.drop(output)), tuple(self._by_row(part) for part in left)

    def _by_layer(self, part: Tensor) -> Tensor:
        """(N, U) or (N, L, U) -> (L, N, U), PyTorch's order."""
        return part[None] if self.cell.num_layers == 1 else part.transpose(0, 1)

    def _by_row(self, part: Tensor) -> Tensor:
        """(L, N, U) -> (N, U) or (N, L, U), the order of an engine's rows."""
        return part[0] if self.cell.num_layers == 1 else part.transpose(0, 1)


class Transformer(Head):
    """Layers of causal attention over the last `window` frames, whose keys and values are kept.

    Pre-norm blocks (Xiong et al. 2020). A learned bias for each distance takes the place of
    positions (as in T5): the same frames have the same answer anywhere in a stream. The memory is
    `keys` and `values` (L, W, D), newest last, and `age` (1,): how many of them are real frames.
    """

    def __init__(
        self,
        classes: int,
        *,
        features: int,
        units: int = 128,
        layers: int = 2,
        attention_heads: int = 4,
        window: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features, self.window = features, window
        self.embed = embedding(features, units)
        self.blocks = nn.ModuleList(_Block(units, attention_heads, window) for _ in range(layers))
        self.norm = nn.LayerNorm(units)
        self.drop = nn.Dropout(dropout)
        self.classify = nn.Linear(units, classes)
        kept = (layers, window, units)
        self.memory = {"keys": kept, "values": kept, "age": (1,)}

    def forward(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        keys, values, age = memory  # (N, L, W, D) twice, (N, 1)
        x = self.embed(features).transpose(0, 1)  # (N, T, D)
        kept_keys, kept_values = [], []
        for layer, block in enumerate(self.blocks):
            x, k, v = block(x, keys[:, layer], values[:, layer], age)
            kept_keys.append(k)
            kept_values.append(v)
        logits = self.classify(self.drop(self.norm(x))).transpose(0, 1)  # (T, N, K)
        age = (age + len(features)).clamp(max=self.window)
        return logits, (torch.stack(kept_keys, 1), torch.stack(kept_values, 1), age)

    def step(self, features: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """See `Head`."""
        logits, memory = self(features[None], memory)
        return logits[0], memory


def make_head(
    name: HeadName, classes: int, *, features: int, units: int = 128, dropout: float = 0.2
) -> Head:
    """Make a head by its name: an embedding of the features, a cell of `units`, a linear layer."""
    if name == "transformer":
        return Transformer(classes, features=features, units=units, dropout=dropout)
    cell = {"rnn": nn.RNN, "lstm": nn.LSTM, "lstm_relu": LstmRelu, "gru": nn.GRU}[name](
        units, units
    )
    return Recurrent(
        cell,
        nn.Linear(units, classes),
        embed=embedding(features, units),
        features=features,
        dropout=dropout,
    )


def embedding(features: int, units: int) -> nn.Sequential:
    """Features (..., F) -> (..., U): the input of a head's cell."""
    return nn.Sequential(nn.Linear(features, units), nn.LayerNorm(units), nn.ReLU())


class _Block(nn.Module):
    def __init__(self, units: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.before, self.between = nn.LayerNorm(units), nn.LayerNorm(units)
        self.project, self.mix = nn.Linear(units, 3 * units), nn.Linear(units, units)
        self.think = nn.Sequential(
            nn.Linear(units, 2 * units), nn.GELU(), nn.Linear(2 * units, units)
        )
        self.near = nn.Parameter(
            torch.zeros(heads, window)
        )  # bias by distance; 0 is the frame itself

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, age: Tensor) -> tuple[Tensor, ...]:
        """x (N, T, D), keys and values (N, W, D), age (N, 1) -> x, and the newest W of both."""
        q, k, v = self.project(self.before(x)).chunk(3, -1)
        k, v = torch.cat([keys, k], 1), torch.cat([values, v], 1)  # (N, W + T, D)
        scores = self._split(q) @ self._split(k).transpose(-1, -2) / self._width(x) ** 0.5
        weights = (scores + self._bias(x.shape[1], age)).softmax(-1)  # (N, heads, T, W + T)
        seen = (weights @ self._split(v)).transpose(1, 2).flatten(2)
        x = x + self.mix(seen)
        x = x + self.think(self.between(x))
        return x, k[:, -self.window :], v[:, -self.window :]

    def _bias(self, steps: int, age: Tensor) -> Tensor:
        """Return what is added to the scores (N, heads, T, W + T): -inf for frames out of reach."""
        places = torch.arange(self.window + steps)
        distance = torch.arange(steps)[:, None] + self.window - places  # (T, W + T)
        allowed = (distance >= 0) & (distance < self.window)
        near = self.near[:, distance.clamp(0, self.window - 1)]  # (heads, T, W + T)
        near = near.masked_fill(~allowed, float("-inf"))
        real = places >= self.window - age  # (N, W + T)
        return torch.where(real[:, None, None], near[None], float("-inf"))

    def _split(self, x: Tensor) -> Tensor:
        """(N, S, D) -> (N, heads, S, D / heads)."""
        return x.unflatten(-1, (self.heads, self._width(x))).transpose(1, 2)

    def _width(self, x: Tensor) -> int:
        width: int = x.shape[-1] // self.heads
        return width


# One frame through all layers of a cell, in plain operations: (N, E) and state of (L, N, U).
# PyTorch's own formulas: torch.nn.LSTM, torch.nn.GRU and torch.nn.RNN.


def _rnn(cell: nn.RNN, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
    activation: Activation = torch.relu if cell.nonlinearity == "relu" else torch.tanh
    hs = []
    for layer in range(cell.num_layers):
        from_x, from_h = _products(cell, layer, x, state[0][layer])
        x = activation(from_x + from_h)
        hs.append(x)
    return x, (torch.stack(hs),)


def _lstm(cell: nn.LSTM, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
    activation: Activation = torch.relu if isinstance(cell, LstmRelu) else torch.tanh
    hs, cs = [], []
    for layer in range(cell.num_layers):
        from_x, from_h = _products(cell, layer, x, state[0][layer])
        enter, forget, candidate, leave = (from_x + from_h).chunk(4, -1)
        c = forget.sigmoid() * state[1][layer] + enter.sigmoid() * activation(candidate)
        x = leave.sigmoid() * activation(c)
        hs.append(x)
        cs.append(c)
    return x, (torch.stack(hs), torch.stack(cs))


def _gru(cell: nn.GRU, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
    hs = []
    for layer in range(cell.num_layers):
        h = state[0][layer]
        from_x, from_h = _products(cell, layer, x, h)
        reset_x, update_x, new_x = from_x.chunk(3, -1)
        reset_h, update_h, new_h = from_h.chunk(3, -1)
        update = (update_x + update_h).sigmoid()
        new = torch.tanh(new_x + (reset_x + reset_h).sigmoid() * new_h)
        x = (1 - update) * new + update * h
        hs.append(x)
    return x, (torch.stack(hs),)


def _step_of(cell: nn.Module) -> Callable[[Any, Tensor, Memory], tuple[Tensor, Memory]]:
    for kind, step in ((nn.LSTM, _lstm), (nn.GRU, _gru), (nn.RNN, _rnn)):
        if isinstance(cell, kind):
            return step
    raise ValueError(f"{type(cell).__name__} is no nn.LSTM, nn.GRU or nn.RNN")


def _products(cell: nn.RNNBase, layer: int, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parts of a layer's gates that come from its input and from its memory."""

    def bias(side: str) -> Tensor | None:
        return getattr(cell, f"bias_{side}_l{layer}") if cell.bias else None

    from_x = functional.linear(x, getattr(cell, f"weight_ih_l{layer}"), bias("ih"))
    return from_x, functional.linear(h, getattr(cell, f"weight_hh_l{layer}"), bias("hh"))
