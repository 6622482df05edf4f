"""An encoder that is rewritten to take planes gives the bits of the stored one; others are left."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, helper

import engines.onnxrt
from engines.checks.rewriting import check_rewriting
from engines.errors import VerificationError
from engines.model.bundle import Bundle, find_bundle, load_bundle
from engines.onnxrt import OnnxRuntimeGraphs
from engines.planes import planar
from tests.engines.bundles import (
    FEATURES,
    SIDE,
    Node,
    encoder_graph,
    floats,
    graph,
    letters,
    normal,
    op,
    tiny,
)

MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
CAST = op("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT)
USUAL = [CAST, op("Sub", ["raw", "mean"], ["shifted"]), op("Div", ["shifted", "std"], ["scaled"])]
TRANSPOSE = op("Transpose", ["scaled"], ["x"], perm=[0, 3, 1, 2])


def encoder(begin: Sequence[Node], mean: Any = MEAN, std: Any = STD) -> bytes:
    rng = np.random.default_rng(0)
    weights = {
        "mean": mean,
        "std": std,
        "kernel": normal(rng, 4, 3, 4, 4, fan=12),
        "dense": normal(rng, 64, FEATURES, fan=16),
    }
    nodes = [
        *begin,
        op("Conv", ["x", "kernel"], ["patches"], kernel_shape=[4, 4], strides=[4, 4]),
        op("Flatten", ["patches"], ["flat"]),
        op("MatMul", ["flat", "dense"], ["features"]),
    ]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    return graph(nodes, weights, inputs=[frames], outputs=[floats("features", FEATURES)])


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path)


def require_same_bits(bundle: Bundle) -> None:
    stored = OnnxRuntimeGraphs(bundle, 1, rewrites=False)
    rewritten = OnnxRuntimeGraphs(bundle, 1)
    assert rewritten.rewritten
    rng = np.random.default_rng(1)
    for count in (1, 2, 3, 5, 16):
        pixels = rng.integers(0, 256, (count, *bundle.input.array.shape), dtype=np.uint8)
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        wanted = stored.encode(pixels).tobytes()
        assert rewritten.encode(pixels).tobytes() == wanted
        assert rewritten.encode(planes).tobytes() == wanted


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 1, 3)])
def test_arithmetic_by_channel_gives_the_same_bits_on_planes(
    bundle: Bundle, shape: tuple[int, ...]
) -> None:
    begin = [*USUAL, TRANSPOSE]
    content = encoder(begin, MEAN.reshape(shape), STD.reshape(shape))
    require_same_bits(replace(bundle, encoder=content))
    content = planar(content, bundle.input.array) or b""
    model = onnx.load_from_string(content)
    checker.check_model(model, full_check=True)
    assert "Transpose" not in {node.op_type for node in model.graph.node}


def test_one_value_for_all_channels_gives_the_same_bits(bundle: Bundle) -> None:
    require_same_bits(bundle)
    content = encoder([*USUAL, TRANSPOSE], MEAN[:1], np.float32(58))
    require_same_bits(replace(bundle, encoder=content))


def test_a_shipped_encoder_gives_the_same_bits() -> None:
    require_same_bits(load_bundle(find_bundle("actions")))


@pytest.mark.parametrize(
    "begin",
    [
        [*USUAL, op("Transpose", ["scaled"], ["x"], perm=[0, 3, 2, 1])],
        [*USUAL, op("Transpose", ["scaled"], ["y"]), op("Transpose", ["y"], ["x"])],
        [*USUAL[:2], op("Div", ["std", "shifted"], ["scaled"]), TRANSPOSE],
        [*USUAL[:2], op("Relu", ["shifted"], ["scaled"]), TRANSPOSE],
        [*USUAL[:2], op("Div", ["shifted", "raw"], ["scaled"]), TRANSPOSE],
        [op("Transpose", ["frames"], ["y"], perm=[0, 3, 1, 2]), CAST],
    ],
)
def test_an_encoder_that_begins_otherwise_is_left_as_it_is(
    bundle: Bundle, begin: Sequence[Node]
) -> None:
    assert planar(encoder(begin), bundle.input.array) is None


@pytest.mark.parametrize("shape", [(SIDE, 1), (SIDE, 1, 3), (1, 1, 1, 1, 3), (2,)])
def test_weights_of_another_shape_are_left_as_they_are(
    bundle: Bundle, shape: tuple[int, ...]
) -> None:
    mean = np.ones(shape, np.float32)
    assert planar(encoder([*USUAL, TRANSPOSE], mean), bundle.input.array) is None


def test_pixels_that_are_read_elsewhere_too_are_left_as_they_are(bundle: Bundle) -> None:
    content = encoder_graph(np.random.default_rng(0), explodes=True)
    assert planar(content, bundle.input.array) is None


def test_other_inputs_than_pictures_are_left_as_they_are(tmp_path: Path) -> None:
    other = letters(tmp_path)
    assert planar(other.encoder, other.input.array) is None


def test_a_rewriting_that_changes_a_bit_does_not_pass_the_check(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_rewriting(bundle, 1)
    wrong = np.nextafter(STD, np.float32(np.inf))
    here = replace(bundle, encoder=encoder([*USUAL, TRANSPOSE]))
    there = planar(encoder([*USUAL, TRANSPOSE], MEAN, wrong), bundle.input.array)
    monkeypatch.setattr(engines.onnxrt, "planar", lambda *_: there)
    with pytest.raises(VerificationError, match="gives other features than the stored one"):
        check_rewriting(here, 1)
