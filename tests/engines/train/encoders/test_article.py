"""Each layer of the article against its formula, written out in numpy."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the article's layers need the extra longtake[train]")

import torch
from torch import nn
from torch.nn import functional

from engines.train.encoders.article import ArticleEncoder, article_head
from engines.train.heads import LstmRelu, Recurrent

Array = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _double() -> None:
    torch.manual_seed(0)


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)


def windows(image: Array, kernel: Array) -> Array:
    """The article's sum for each place: I(i + m, j + n) K(m, n)."""
    height, width = (image.shape[i] - kernel.shape[i] + 1 for i in (0, 1))
    result = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            part = image[i : i + kernel.shape[0], j : j + kernel.shape[1]]
            result[i, j] = (part * kernel).sum()
    return result


def convolve(image: Array, kernel: Array) -> Array:
    """(I * K)(i, j) = sum over m, n of I(i - m, j - n) K(m, n), where the kernel fits: flipped."""
    return windows(image, kernel[::-1, ::-1])


def layer(image: Array, kernel: Array) -> Array:
    answer = functional.conv2d(tensor(image)[None, None], tensor(kernel)[None, None])
    values: Array = answer[0, 0].numpy()
    return values


def test_the_convolution_layer_correlates(rng: np.random.Generator) -> None:
    image, kernel = rng.standard_normal((9, 8)), rng.standard_normal((3, 3))
    np.testing.assert_allclose(layer(image, kernel), windows(image, kernel), atol=1e-12)


def test_the_articles_formula_is_the_layer_with_its_kernel_flipped(
    rng: np.random.Generator,
) -> None:
    image, kernel = rng.standard_normal((9, 8)), rng.standard_normal((3, 3))
    flipped = kernel[::-1, ::-1].copy()
    np.testing.assert_allclose(layer(image, flipped), convolve(image, kernel), atol=1e-12)
    assert not np.allclose(layer(image, kernel), convolve(image, kernel))


@pytest.mark.parametrize(
    ("pool", "formula"),
    [(functional.max_pool2d, np.max), (functional.avg_pool2d, np.mean)],
)
def test_pooling(
    rng: np.random.Generator,
    pool: Callable[..., torch.Tensor],
    formula: Callable[[Array], float],
) -> None:
    image = rng.standard_normal((7, 6))  # the odd row is left over
    wanted = [[formula(image[i : i + 2, j : j + 2]) for j in (0, 2, 4)] for i in (0, 2, 4)]
    found = pool(tensor(image)[None, None], 2)[0, 0]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max())
    scores: Array = exponentials / exponentials.sum()
    return scores


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def numbers(module: nn.Module, name: str) -> Array:
    array: Array = getattr(module, name).detach().numpy()
    return array


def answers(head: Recurrent, frames: Array) -> Array:
    """Probabilities (T, K), frame by frame with the memory carried."""
    memory, found = tuple(part.double() for part in head.start(1)), []
    for frame in frames:
        logits, memory = head.step(tensor(frame[None]), memory)
        found.append(logits.softmax(-1)[0].detach().numpy())
    return np.stack(found)


def test_the_recurrence(rng: np.random.Generator) -> None:
    """h_t = f(W x_t + U h_(t-1) + b), y_t = g(W h_t + b), with f tanh and g softmax."""
    cell, classify = nn.RNN(4, 6).double(), nn.Linear(6, 3).double()
    frames, h, wanted = rng.standard_normal((20, 4)), np.zeros(6), []
    w, u = numbers(cell, "weight_ih_l0"), numbers(cell, "weight_hh_l0")
    b = numbers(cell, "bias_ih_l0") + numbers(cell, "bias_hh_l0")
    for x in frames:
        h = np.tanh(w @ x + u @ h + b)
        wanted.append(softmax(numbers(classify, "weight") @ h + numbers(classify, "bias")))
    np.testing.assert_allclose(answers(Recurrent(cell, classify), frames), wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "activation"), [(nn.LSTM, np.tanh), (LstmRelu, lambda x: np.maximum(x, 0))]
)
def test_the_lstm(
    rng: np.random.Generator, kind: type[nn.LSTM], activation: Callable[[Array], Array]
) -> None:
    cell, classify = kind(4, 6).double(), nn.Linear(6, 3).double()
    frames, h, c, wanted = rng.standard_normal((20, 4)), np.zeros(6), np.zeros(6), []
    w, u = numbers(cell, "weight_ih_l0"), numbers(cell, "weight_hh_l0")
    b = numbers(cell, "bias_ih_l0") + numbers(cell, "bias_hh_l0")
    for x in frames:
        i, f, g, o = np.split(w @ x + u @ h + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * activation(g)
        h = sigmoid(o) * activation(c)
        wanted.append(softmax(numbers(classify, "weight") @ h + numbers(classify, "bias")))
    np.testing.assert_allclose(answers(Recurrent(cell, classify), frames), wanted, atol=1e-12)


def test_the_listing_flattens_to_what_its_lstm_cannot_take() -> None:
    encoder = ArticleEncoder()
    flat = encoder.convolutions(torch.zeros(1, 3, 224, 224)).flatten(1)
    assert flat.shape == (1, 86_528)
    assert encoder(torch.zeros(1, 3, 224, 224)).shape == (1, article_head(10).features) == (1, 128)
