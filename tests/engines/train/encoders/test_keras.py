"""The article's network gives the probabilities of Keras itself, rebuilt from its listing."""

import os
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the comparison needs the extra longtake[train]")
os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", reason="the comparison needs keras: pip install keras")

import torch  # noqa: E402

from engines.train.encoders.article import FILTERS, UNITS, ArticleEncoder, article_head  # noqa: E402
from engines.train.heads import Recurrent  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE, CLASSES, FRAMES = 224, 10, 12


@cache
def ours() -> tuple[ArticleEncoder, Recurrent]:
    torch.manual_seed(0)
    return ArticleEncoder(SIDE).eval(), article_head(CLASSES).eval()


def listing(*, stateful: bool) -> Any:
    """The article's listing, each frame through the CNN, with the dense layer that it lacks."""
    layers = keras.layers
    length = 1 if stateful else FRAMES
    stack = [layers.Input(batch_shape=(1, length, SIDE, SIDE, 3))]
    for filters in FILTERS:
        stack.append(layers.TimeDistributed(layers.Conv2D(filters, (3, 3), activation="relu")))
        stack.append(layers.TimeDistributed(layers.MaxPooling2D((2, 2))))
    stack += [
        layers.TimeDistributed(layers.Flatten()),
        layers.TimeDistributed(layers.Dense(UNITS)),
        layers.LSTM(UNITS, activation="relu", return_sequences=True, stateful=stateful),
        layers.TimeDistributed(layers.Dense(CLASSES, activation="softmax")),
    ]
    model = keras.Sequential(stack)
    model.set_weights([w.detach().numpy() for w in weights()])
    return model


def weights() -> list[torch.Tensor]:
    """Ours, in Keras' order and layout: (rows, columns, in, out) kernels, (in, out) matrices."""
    encoder, head = ours()
    found = []
    for convolution in encoder.convolutions[::3]:
        found += [convolution.weight.permute(2, 3, 1, 0), convolution.bias]
    side = int((encoder.dense.in_features / FILTERS[-1]) ** 0.5)
    by_channel = encoder.dense.weight.unflatten(1, (FILTERS[-1], side, side))
    by_place = by_channel.permute(0, 2, 3, 1).flatten(1)  # Keras flattens channels last
    cell = head.cell
    found += [by_place.T, encoder.dense.bias, cell.weight_ih_l0.T, cell.weight_hh_l0.T]
    found += [cell.bias_ih_l0 + cell.bias_hh_l0, head.classify.weight.T, head.classify.bias]
    return [part.contiguous() for part in found]


@cache
def frames() -> np.ndarray:
    blocks = np.random.default_rng(0).random((FRAMES, 7, 7, 3), np.float32)
    return blocks.repeat(SIDE // 7, 1).repeat(SIDE // 7, 2)  # (T, 224, 224, 3)


@torch.inference_mode()
def features() -> torch.Tensor:
    encoder, _ = ours()
    return encoder(torch.from_numpy(frames()).permute(0, 3, 1, 2))[:, None]  # (T, 1, 128)


@torch.inference_mode()
def test_the_whole_sequence_gives_keras_probabilities() -> None:
    _, head = ours()
    logits, _ = head(features(), head.start(1))
    wanted = np.asarray(listing(stateful=False).predict(frames()[None], verbose=0))[0]
    np.testing.assert_allclose(logits.softmax(-1)[:, 0].numpy(), wanted, atol=1e-5, rtol=0)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # frames do make a difference


@torch.inference_mode()
def test_frame_by_frame_with_carried_memory_too() -> None:
    _, head = ours()
    keras_model, memory = listing(stateful=True), head.start(1)
    for frame, encoded in zip(frames(), features(), strict=True):
        logits, memory = head.step(encoded, memory)
        wanted = np.asarray(keras_model.predict(frame[None, None], verbose=0))[0, 0]
        np.testing.assert_allclose(logits.softmax(-1)[0].numpy(), wanted, atol=1e-5, rtol=0)
