"""One contract for all heads: a sequence equals its steps, and a row does not know its batch."""

from collections.abc import Callable
from functools import partial

import pytest

pytest.importorskip("torch", reason="heads need the extra longtake[train]")

import torch
from torch import nn

from engines.train.heads import HEADS, Head, LstmRelu, Recurrent, Transformer, make_head

FEATURES, CLASSES, UNITS = 12, 5, 16


def own(cell: nn.RNNBase) -> Recurrent:
    return Recurrent(cell, nn.Linear(UNITS, CLASSES))  # type: ignore[arg-type]


MAKERS: dict[str, Callable[[], Head]] = {
    **{name: partial(make_head, name, CLASSES, features=FEATURES, units=UNITS) for name in HEADS},
    "two layers of LSTM": lambda: own(nn.LSTM(FEATURES, UNITS, 2)),
    "three layers of GRU, batch first": lambda: own(nn.GRU(FEATURES, UNITS, 3, batch_first=True)),
    "RNN with ReLU, without biases": lambda: own(
        nn.RNN(FEATURES, UNITS, 2, nonlinearity="relu", bias=False)
    ),
    "two layers of LSTM with ReLU": lambda: own(LstmRelu(FEATURES, UNITS, 2)),
    "a short window": lambda: Transformer(CLASSES, features=FEATURES, units=UNITS, window=3),
}


@pytest.fixture(params=MAKERS)
def head(request: pytest.FixtureRequest) -> Head:
    torch.manual_seed(0)
    made: Head = MAKERS[request.param]().eval()
    for parameter in made.parameters():  # a bias of zeros would hide that it is forgotten
        if parameter.ndim == 1 or parameter.shape == (4, 3):
            nn.init.normal_(parameter, std=0.1)
    return made


@torch.inference_mode()
def test_a_sequence_equals_its_steps_with_carried_memory(head: Head) -> None:
    features = torch.randn(200, 3, FEATURES)
    wanted, end = head(features, head.start(3))
    memory = head.start(3)
    for t, frame in enumerate(features):
        logits, memory = head.step(frame, memory)
        torch.testing.assert_close(logits, wanted[t], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(memory, end, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_sequence_may_be_cut_anywhere(head: Head) -> None:
    features = torch.randn(60, 2, FEATURES)
    wanted, _ = head(features, head.start(2))
    memory, parts = head.start(2), []
    for part in features.split((1, 2, 40, 17)):
        logits, memory = head(part, memory)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), wanted, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_rows_do_not_know_of_each_other_and_memories_are_left_alone(head: Head) -> None:
    memory = head.start(4)
    for frame in torch.randn(5, 4, FEATURES):
        _, memory = head.step(frame, memory)
    before = [part.clone() for part in memory]
    frame = torch.randn(4, FEATURES)
    together, _ = head.step(frame, memory)
    for row in range(4):
        alone, _ = head.step(frame[row : row + 1], tuple(p[row : row + 1] for p in memory))
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(list(memory), before, atol=0, rtol=0)


def test_memory_is_named_and_shaped_by_row(head: Head) -> None:
    assert [tuple(part.shape) for part in head.start(7)] == [
        (7, *shape) for shape in head.memory.values()
    ]


@torch.inference_mode()
def test_the_memory_of_a_recurrent_head_matters(head: Head) -> None:
    frame = torch.randn(1, FEATURES)
    _, memory = head.step(torch.randn(1, FEATURES), head.start(1))
    remembering, _ = head.step(frame, memory)
    forgetting, _ = head.step(frame, head.start(1))
    assert not torch.allclose(remembering, forgetting, atol=1e-4)


@torch.inference_mode()
def test_a_transformer_forgets_what_its_layers_windows_cannot_reach() -> None:
    torch.manual_seed(0)
    head = Transformer(CLASSES, features=FEATURES, units=UNITS, layers=2, window=4).eval()
    features = torch.randn(20, 1, FEATURES)
    other = features.clone()
    other[:12] = torch.randn(12, 1, FEATURES)
    end, _ = head(features, head.start(1))
    ended, _ = head(other, head.start(1))
    reach = 2 * (4 - 1)  # frames back, through two layers
    torch.testing.assert_close(end[12 + reach :], ended[12 + reach :], atol=1e-6, rtol=0)
    assert not torch.allclose(end[12 + reach - 1], ended[12 + reach - 1], atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (nn.LSTM(4, UNITS, bidirectional=True), "future"),
        (nn.LSTM(4, UNITS, proj_size=8), "proj_size"),
        (nn.LSTMCell(4, UNITS), "LSTMCell is no nn.LSTM"),
    ],
)
def test_what_cannot_run_frame_by_frame_is_refused(cell: nn.LSTM, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        own(cell)
