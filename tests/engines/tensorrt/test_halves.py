"""An encoder in float16 is near its float32 self, and what float16 cannot hold is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.checks.verify import MIXED_CPU, verify
from engines.errors import BuildError
from engines.model.bundle import find_bundle, load_bundle
from engines.model.graph import holds_float16
from engines.model.seed import write_seed
from engines.onnxrt import onnxruntime_engine
from engines.tensorrt.graphs.half_encoder import halved
from tests.engines.bundles import FEATURES, SIDE, Node, floats, frames, graph, normal, op, tiny

PICTURE = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
DENSE = normal(np.random.default_rng(0), SIDE * SIDE * 3, FEATURES, fan=500)
CAST = op("Cast", ["frames"], ["raw"], to=TensorProto.FLOAT)
TAIL = (op("Flatten", ["seen"], ["flat"]), op("MatMul", ["flat", "dense"], ["features"]))
PIXELS = frames(3)
FAR = np.array(-1e6, np.float32)
HALF, WHOLE = TensorProto.FLOAT16, TensorProto.FLOAT


def encoder(*nodes: Node, **weights: Any) -> bytes:
    """From `raw` pixels in float32 to `seen` by the given nodes, and on to features."""
    return graph(
        [CAST, *nodes, *TAIL],
        {"dense": DENSE, **weights},
        inputs=[PICTURE],
        outputs=[floats("features", FEATURES)],
    )


def run(content: bytes, pixels: NDArray[np.uint8] = PIXELS) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    features: NDArray[np.float32] = session.run(None, {"frames": pixels})[0]
    assert features.dtype == np.float32
    return features


def assert_near(content: bytes) -> None:
    found, wanted = run(halved(content)), run(content)
    assert 0 < np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()


def types(content: bytes) -> dict[str, int]:
    """Say of each value inside the graph of which type it is."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}


@pytest.mark.parametrize("bundle", ["actions", "seed"])
def test_real_bundles_answer_nearly_the_same(bundle: str, tmp_path: Path) -> None:
    whole = load_bundle(write_seed(tmp_path) if bundle == "seed" else find_bundle(bundle))
    half = replace(whole, encoder=halved(whole.encoder))
    assert half.encoder != whole.encoder
    engine = onnxruntime_engine(half, threads=1)
    assert 0 < verify(engine, whole, precision=MIXED_CPU).scores < 1e-2


def test_all_weights_are_float16_and_the_ports_stay_as_they_are(tmp_path: Path) -> None:
    model = onnx.load_from_string(halved(tiny(tmp_path).encoder))
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds == dict.fromkeys(("middle", "kernel", "dense", "one"), HALF)
    ports = [*model.graph.input, *model.graph.output]
    assert [p.type.tensor_type.elem_type for p in ports] == [TensorProto.UINT8, WHOLE]


def test_all_that_happens_between_pixels_and_features_is_in_float16(tmp_path: Path) -> None:
    inside = types(halved(tiny(tmp_path).encoder))
    assert len(inside) == 8
    assert set(inside.values()) == {HALF}


def test_casts_to_other_types_stay() -> None:
    content = encoder(
        op("Cast", ["raw"], ["counted"], to=TensorProto.INT32),
        op("Cast", ["counted"], ["seen"], to=WHOLE),
    )
    assert types(halved(content))["counted"] == TensorProto.INT32
    assert_near(content)


@pytest.mark.parametrize("kind", ["weight", "constant"])
def test_scales_of_a_resize_stay_in_float32(kind: str) -> None:
    scales = np.array([1, 0.5, 1, 1], np.float32)
    constant = op("Constant", [], ["scales"], value=numpy_helper.from_array(scales))
    content = encoder(
        *([constant] if kind == "constant" else []),
        op("Resize", ["raw", "", "scales"], ["small"], mode="nearest"),
        op("Concat", ["small", "small"], ["seen"], axis=1),
        **({"scales": scales} if kind == "weight" else {}),
    )
    assert types(halved(content))["small"] == HALF
    assert_near(content)


@pytest.mark.parametrize(
    "value",
    [
        {"value": numpy_helper.from_array(np.array(0.3, np.float32))},
        {"value_float": 0.3},
        {"value_floats": [0.3]},
    ],
    ids=lambda value: next(iter(value)),
)
def test_constants_become_float16_however_they_are_written(value: dict[str, Any]) -> None:
    assert_near(
        encoder(op("Constant", [], ["shade"], **value), op("Mul", ["raw", "shade"], ["seen"]))
    )


def test_constants_of_other_types_stay() -> None:
    axes = op("Constant", [], ["axes"], value_ints=[1, 2])
    around = [
        op("ReduceMean", ["raw", "axes"], ["mean"], keepdims=1),
        op("Sub", ["raw", "mean"], ["seen"]),
    ]
    assert_near(encoder(axes, *around))


def test_constants_that_fill_a_shape_become_float16() -> None:
    content = encoder(
        op("Shape", ["raw"], ["shape"]),
        op("ConstantOfShape", ["shape"], ["grey"], value=helper.make_tensor("v", WHOLE, [1], [9])),
        op("Sub", ["raw", "grey"], ["seen"]),
    )
    assert types(halved(content))["grey"] == HALF
    assert_near(content)


@pytest.mark.parametrize(
    "far",
    [
        encoder(op("Div", ["raw", "far"], ["seen"]), far=np.float32(1e6)),
        encoder(
            op(
                "Constant",
                [],
                ["far"],
                value=numpy_helper.from_array(np.array(-1e6, np.float32), "far"),
            ),
            op("Div", ["raw", "far"], ["seen"]),
        ),
        encoder(op("Constant", [], ["far"], value_float=-1e6), op("Div", ["raw", "far"], ["seen"])),
    ],
    ids=["weight", "constant", "plain number"],
)
def test_what_float16_cannot_hold_is_refused_with_the_way_out(far: bytes) -> None:
    with pytest.raises(BuildError, match=r"far holds 1,000,000, .*65,504.*gpu_precision = "):
        halved(far)


def test_infinities_are_no_numbers_that_are_too_large() -> None:
    content = encoder(op("Min", ["raw", "most"], ["seen"]), most=np.float32(np.inf))
    assert_near(content)


def test_a_number_that_keeps_a_divisor_from_zero_does_so_still() -> None:
    """As `torch.nn.functional.normalize` has it: black pictures are divided by 1e-12."""
    content = encoder(
        op("ReduceMax", ["raw"], ["brightest"], keepdims=1),
        op("Clip", ["brightest", "least"], ["divisor"]),
        op("Div", ["raw", "divisor"], ["seen"]),
        least=np.float32(1e-12),
    )
    assert not run(halved(content), np.zeros_like(frames(1))).any()
    assert_near(content)


def test_of_many_weights_those_that_are_too_small_become_zero() -> None:
    shades = np.array([1e-12, 1, 2], np.float32)
    model = onnx.load_from_string(halved(encoder(op("Mul", ["raw", "s"], ["seen"]), s=shades)))
    (found,) = (tensor for tensor in model.graph.initializer if tensor.name == "s")
    assert numpy_helper.to_array(found).tolist() == [0, 1, 2]


def test_an_encoder_that_holds_float16_already_is_left_as_it_is() -> None:
    once = halved(encoder(op("Neg", ["raw"], ["seen"])))
    assert holds_float16(once)
    assert halved(once) is once


def test_a_graph_that_has_no_float16_form_is_refused_with_the_way_out() -> None:
    scales = op("Concat", ["few", "few"], ["scales"], axis=0)  # float16 now, which Resize refuses
    resize = op("Resize", ["raw", "", "scales"], ["seen"], mode="nearest")
    content = encoder(scales, resize, few=np.ones(2, np.float32))
    with pytest.raises(BuildError, match=r"cannot be turned into float16 .*gpu_precision = .float"):
        halved(content)
