"""Verification lets a right engine pass and finds each way in which one can be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines.base import Features, Pixels, Rows, Tensors
from engines.checks.verify import Tolerance, verify
from engines.errors import EngineError, VerificationError
from engines.load import load_engine
from engines.model.bundle import Bundle, load_bundle, write_bundle
from engines.onnxrt import OnnxRuntimeEngine
from engines.reference import ReferenceEngine
from tests.engines.bundles import (
    FEATURES,
    description,
    encoder_graph,
    floats,
    frames,
    graph,
    op,
    tiny,
)

Answer = tuple[Any, Any]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path)


class MixesRows(ReferenceEngine):
    """Gives each row of a batch its neighbour's frame."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> Answer:
        return super().step(features, np.roll(picks, 1), rows)


class MixesAnswers(ReferenceEngine):
    """Advances the right rows, but answers in another order."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> Answer:
        logits, finite = super().step(features, picks, rows)
        return np.roll(logits, 1, axis=0), finite


class SwapsStates(ReferenceEngine):
    """Takes h for c wherever it reads and writes, so that its own round trips agree."""

    def read(self, rows: Rows) -> Tensors:
        h_and_c = super().read(rows)
        return {"h": h_and_c["c"], "c": h_and_c["h"]}

    def write(self, rows: Rows, tensors: Tensors) -> None:
        super().write(rows, {"h": tensors["c"], "c": tensors["h"]})


class SwapsWhenWriting(ReferenceEngine):
    def write(self, rows: Rows, tensors: Tensors) -> None:
        super().write(rows, {"h": tensors["c"], "c": tensors["h"]})


class Forgets(ReferenceEngine):
    """Zeroes what it has just advanced."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> Answer:
        answer = super().step(features, picks, rows)
        self.zero(rows)
        return answer


class NeverZeroes(ReferenceEngine):
    def zero(self, rows: Rows) -> None:
        """Leave everything as it is."""


class StepsByBatch(ReferenceEngine):
    """Changes the last bit of logits in batches of five and more."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> Answer:
        logits, finite = super().step(features, picks, rows)
        return (np.nextafter(logits, np.float32(9)) if len(logits) > 4 else logits), finite


class EncodesByBatch(ReferenceEngine):
    """Lets the first frame of a batch shine into the last, by one grey level."""

    def encode(self, pixels: Pixels) -> Any:
        seen = pixels.copy()
        seen[-1, 0, 0, 0] ^= len(pixels) > 4
        return super().encode(seen)


class IsOff(ReferenceEngine):
    """Off by 1e-2 in the first logit."""

    def step(self, features: Features, picks: Rows, rows: Rows) -> Answer:
        logits, finite = super().step(features, picks, rows)
        logits[:, 0] += 0.01 * 4.5  # at most a quarter of it arrives in a softmax score
        return logits, finite


class CallsEverythingFinite(ReferenceEngine):
    def step(self, features: Features, picks: Rows, rows: Rows) -> Answer:
        logits, finite = super().step(features, picks, rows)
        return logits, np.ones_like(finite)


FAULTS = {
    MixesRows: "scores differ|state . differ",
    MixesAnswers: "scores differ",
    SwapsStates: "step 1, batch 1 state . differ by",
    SwapsWhenWriting: "after read and write",
    Forgets: "step 1, batch 1 state . differ",
    NeverZeroes: "after zero",
    StepsByBatch: "step: line 0 of a batch of 5 against the same line alone: logits differ",
    EncodesByBatch: "encode: frame 4 of a batch of 5 against the same frame alone",
    IsOff: r"scores differ by \d\.\de-0[23], allowed is 1\.0e-04",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_faulty_engine_is_found_and_the_fault_named(
    fault: type[ReferenceEngine], bundle: Bundle
) -> None:
    with pytest.raises(VerificationError, match=FAULTS[fault]):
        verify(fault(bundle), bundle)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_onnxruntime_passes_and_reports_how_near_it_came(
    tmp_path: Path, cell: Any, activation: Any
) -> None:
    bundle = tiny(tmp_path, cell=cell, activation=activation)
    report = verify(OnnxRuntimeEngine(bundle, threads=2), bundle)
    assert report.bundle == bundle.id
    assert report.scores < 1e-6
    assert report.state < 1e-6


def test_the_oracle_passes_its_own_test(bundle: Bundle) -> None:
    assert verify(ReferenceEngine(bundle), bundle).scores == 0


def test_a_verified_engine_is_left_zeroed(bundle: Bundle) -> None:
    engine = OnnxRuntimeEngine(bundle, threads=1)
    verify(engine, bundle)
    assert not any(tensor.any() for tensor in engine.read(range(engine.rows)).values())


def test_an_engine_that_promises_less_is_held_to_less(bundle: Bundle) -> None:
    verify(IsOff(bundle), bundle, precision=Tolerance(tolerance=2e-2, bit_stable=False))
    verify(StepsByBatch(bundle), bundle, precision=Tolerance(tolerance=1e-4, bit_stable=False))


def test_a_graph_that_mixes_its_batch_is_found(tmp_path: Path) -> None:
    nodes = [
        op("ReduceMax", ["features", "over_batch"], ["brightest"], keepdims=1),
        op("Sub", ["features", "brightest"], ["relative"]),
        op("MatMul", ["relative", "dense"], ["logits"]),
    ]
    weights = {"over_batch": np.array([0]), "dense": np.ones((FEATURES, 3), np.float32)}
    bundle = stateless(tmp_path, nodes, weights)
    with pytest.raises(VerificationError, match="scores differ"):
        verify(OnnxRuntimeEngine(bundle, threads=1), bundle)


def test_a_sum_that_rounds_by_place_is_found_and_the_way_out_told(tmp_path: Path) -> None:
    nodes = [
        op("MatMul", ["features", "wide"], ["many"]),
        op("ReduceSum", ["many", "across"], ["logits"], keepdims=1),
    ]
    wide = np.random.default_rng(0).standard_normal((FEATURES, 62)).astype(np.float32)
    bundle = stateless(tmp_path, nodes, {"wide": wide, "across": np.array([1])}, classes=1)
    with pytest.raises(VerificationError, match=r"bit for bit.*ReduceSum"):
        verify(OnnxRuntimeEngine(bundle, threads=1), bundle)


def test_a_bundle_without_state_passes(tmp_path: Path) -> None:
    nodes = [op("MatMul", ["features", "dense"], ["logits"])]
    bundle = stateless(tmp_path, nodes, {"dense": np.ones((FEATURES, 3), np.float32)})
    verify(OnnxRuntimeEngine(bundle, threads=1), bundle)


def test_state_may_be_whole_numbers_half_floats_and_of_any_rank(tmp_path: Path) -> None:
    names = ("count", "window")
    words = description(cell="lstm", activation="sigmoid", labels=("a", "b", "c"))
    words["state"] = [
        {"name": n, "input": f"{n}_in", "output": f"{n}_out", "shape": shape, "dtype": dtype}
        for n, shape, dtype in zip(names, ([], [2, 3]), ("int64", "float16"), strict=True)
    ]
    encoder = encoder_graph(np.random.default_rng(0))
    bundle = load_bundle(write_bundle(tmp_path, words, encoder=encoder, head=window_head()))
    engine = OnnxRuntimeEngine(bundle, threads=1)
    verify(engine, bundle)
    features = engine.encode(frames(1))
    for _ in range(3):
        engine.step(features, [0], [2])
    assert engine.read([1, 2])["count"].tolist() == [0, 3]


def window_head() -> bytes:
    """Count frames, and keep the features of the last one as a window of half floats."""
    value = onnx.helper.make_tensor_value_info
    half, whole = onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64
    ports = {"count": (whole, ["N"]), "window": (half, ["N", 2, 3])}
    nodes = [
        op("Add", ["count_in", "one"], ["count_out"]),
        op("Cast", ["window_in"], ["recalled"], to=onnx.TensorProto.FLOAT),
        op("Reshape", ["features", "two_by_three"], ["now"]),
        op("Cast", ["now"], ["window_out"], to=onnx.TensorProto.FLOAT16),
        op("Add", ["now", "recalled"], ["both"]),
        op("ReduceMax", ["both", "rows"], ["logits"], keepdims=0),
    ]
    weights = {"one": np.array(1), "two_by_three": np.array([-1, 2, 3]), "rows": np.array([1])}
    inputs = [value(f"{name}_in", *port) for name, port in ports.items()]
    outputs = [value(f"{name}_out", *port) for name, port in ports.items()]
    return graph(
        nodes,
        weights,
        inputs=[floats("features", FEATURES), *inputs],
        outputs=[floats("logits", 3), *outputs],
    )


def stateless(
    path: Path, nodes: list[onnx.NodeProto], weights: dict[str, Any], *, classes: int = 3
) -> Bundle:
    labels = [str(label) for label in range(classes)]
    words = description(cell="lstm", activation="sigmoid", labels=labels) | {"state": []}
    inputs, outputs = [floats("features", FEATURES)], [floats("logits", classes)]
    head = graph(nodes, weights, inputs=inputs, outputs=outputs)
    encoder = encoder_graph(np.random.default_rng(0))
    return load_bundle(write_bundle(path, words, encoder=encoder, head=head))


def test_infinities_must_be_reported_like_the_oracle_does(tmp_path: Path) -> None:
    weights = {"dense": np.full((FEATURES, 3), np.inf, np.float32)}
    bundle = stateless(tmp_path, [op("MatMul", ["features", "dense"], ["logits"])], weights)
    verify(OnnxRuntimeEngine(bundle, threads=1), bundle)
    with pytest.raises(VerificationError, match=r"finite is .* the oracle says"):
        verify(CallsEverythingFinite(bundle), bundle)


@pytest.mark.parametrize(
    ("name", "kind"), [("onnxruntime", OnnxRuntimeEngine), ("reference", ReferenceEngine)]
)
def test_engines_are_loaded_by_name(name: Any, kind: type, bundle: Bundle) -> None:
    assert isinstance(load_engine(name, bundle, threads=1), kind)


def test_an_unknown_engine_is_refused_with_those_that_exist(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"'tpu'.*auto, onnxruntime, tensorrt, reference"):
        load_engine("tpu", bundle, threads=1)  # type: ignore[arg-type]
