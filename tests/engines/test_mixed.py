"""A bundle whose encoder is in float16 is judged by what float16 can give, and no less strictly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.base import Features, Rows
from engines.checks.verify import FLOAT32_CPU, MIXED_CPU, promised, verify
from engines.errors import VerificationError
from engines.host import HostEngine
from engines.load import load_engine
from engines.model.bundle import Bundle, load_bundle, write_bundle
from engines.onnxrt import onnxruntime_engine
from engines.reference import ReferenceGraphs, reference_engine
from tests.engines.bundles import (
    FEATURES,
    SIDE,
    description,
    floats,
    frames,
    graph,
    lstm_graph,
    normal,
    op,
    tiny,
)


def mixed(path: Path, dense: np.ndarray) -> Bundle:
    """A dense layer (768, F) of float16 over all pixels."""
    nodes = [
        op("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT),
        op("Div", ["raw", "white"], ["scaled"]),
        op("Flatten", ["scaled"], ["flat"]),  # (N, 768)
        op("Cast", ["flat"], ["half"], to=TensorProto.FLOAT16),
        op("MatMul", ["half", "dense"], ["seen"]),
        op("Cast", ["seen"], ["features"], to=TensorProto.FLOAT),
    ]
    weights = {"white": np.float32(255), "dense": dense.astype(np.float16)}
    picture = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    encoder = graph(nodes, weights, inputs=[picture], outputs=[floats("features", FEATURES)])
    words = description(cell="lstm", activation="softmax", labels=("a", "b", "c"))
    head = lstm_graph(np.random.default_rng(0))
    return load_bundle(write_bundle(path, words, encoder=encoder, head=head))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return mixed(tmp_path, normal(np.random.default_rng(0), SIDE * SIDE * 3, FEATURES, fan=50))


class IsOff(HostEngine):
    """Off by up to 0.05 in a score."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> Any:
        logits, finite = super().step(features, picks, rows)
        logits[:, 0] += 0.2
        return logits, finite


def test_float16_is_allowed_its_rounding_and_its_rows_must_still_have_equal_bits(
    bundle: Bundle,
) -> None:
    assert promised(bundle) == MIXED_CPU
    assert MIXED_CPU.bit_stable
    report = verify(onnxruntime_engine(bundle, threads=1), bundle, precision=promised(bundle))
    assert report.scores < 1e-2


def test_a_fault_that_is_larger_than_the_rounding_is_found(bundle: Bundle) -> None:
    with pytest.raises(VerificationError, match=r"scores differ by .*, allowed is 1\.0e-02"):
        verify(IsOff(bundle, ReferenceGraphs(bundle)), bundle, precision=promised(bundle))


def test_a_bundle_without_float16_is_held_to_float32(tmp_path: Path) -> None:
    assert promised(tiny(tmp_path)) == FLOAT32_CPU


def test_the_oracle_does_not_add_up_in_float16(tmp_path: Path) -> None:
    """There, 768 white pixels of 3 each come to a number that 3 does not move any more."""
    bundle = mixed(tmp_path, np.full((SIDE * SIDE * 3, FEATURES), 3.001))
    white = np.full_like(frames(1), 255)
    features = reference_engine(bundle).encode(white)
    np.testing.assert_allclose(features.array, 768 * np.float32(np.float16(3.001)))


def test_it_is_loaded_like_any_other_and_encodes_like_the_oracle(bundle: Bundle) -> None:
    engine = load_engine("onnxruntime", bundle, threads=1)
    oracle = load_engine("reference", bundle, threads=1)
    found, wanted = engine.encode(frames(3)), oracle.encode(frames(3))
    for n in range(3):
        np.testing.assert_allclose(found.vector(n), wanted.vector(n), atol=1e-2)
