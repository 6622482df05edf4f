"""What the double's parser refuses, as TensorRT's does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from doubles.tensorrt import models
from doubles.tensorrt.models import FLOAT, HALF, INT64, UINT8


def test_a_camera_model_is_taken(bench: Any) -> None:
    assert bench.parser.parse(models.encoder_and_cell()), bench.log.lines
    network = bench.network
    frames = network.get_input(0)
    assert (network.num_inputs, network.num_outputs) == (2, 1)
    assert (frames.name, tuple(frames.shape)) == ("frames", (-1, 6, 5, 3))
    assert frames.dtype == bench.trt.DataType.UINT8
    assert network.get_output(1) is None


def test_a_model_is_taken_from_a_file_whose_weights_lie_beside_it(
    bench: Any, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    model = onnx.load_from_string(models.encoder_and_cell())
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    assert bench.parser.parse_from_file(str(path)), bench.log.lines
    assert bench.parser.parse(path.read_bytes(), path=str(path))
    assert not bench.parser.parse(path.read_bytes())


def test_what_is_no_model_is_refused(bench: Any) -> None:
    assert not bench.parser.parse(b"\xff\xffnot a model")
    assert not bench.parser.parse_from_file("nowhere.onnx")
    codes = {bench.parser.get_error(i).code() for i in range(bench.parser.num_errors)}
    assert codes == {bench.trt.ErrorCode.MODEL_DESERIALIZE_FAILED}


def test_an_operator_that_the_list_lacks_is_refused_with_its_place(bench: Any) -> None:
    assert not bench.parser.parse(models.unary("Det", FLOAT, FLOAT))
    error = bench.parser.get_error(0)
    assert (error.node(), error.node_operator()) == (0, "Det")
    assert error.code() == bench.trt.ErrorCode.UNSUPPORTED_NODE
    assert bench.log.said("Det")
    bench.parser.clear_errors()
    assert bench.parser.num_errors == 0


def test_a_recurrent_operator_is_taken_for_our_own_rules_refuse_it(bench: Any) -> None:
    shape = [1, 4 * models.U, models.U]
    weights = {name: np.zeros(shape, np.float32) for name in ("w", "r")}
    lstm = models.model(
        [models.node("LSTM", ["x", "w", "r"], ["y"], hidden_size=models.U)],
        [("x", FLOAT, [1, 1, models.U])],
        [("y", FLOAT, [1, 1, 1, models.U])],
        **weights,
    )
    assert bench.parser.parse(lstm), bench.log.lines


@pytest.mark.parametrize("op", ["Add", "Mul", "Pow", "MatMul", "Gemm", "Concat", "Max", "Less"])
def test_inputs_of_two_types_are_refused(bench: Any, op: str) -> None:
    assert not bench.parser.parse(models.binary(op, FLOAT, HALF))
    assert bench.log.said(f"{op} must have inputs of one type: a FLOAT, b FLOAT16")


def test_a_convolution_with_weights_of_another_type_is_refused(bench: Any) -> None:
    conv = models.model(
        [models.node("Conv", ["x", "w"], ["y"])],
        [("x", FLOAT, [1, 1, 4, 4])],
        [("y", FLOAT, [1, 1, 2, 2])],
        w=np.ones((1, 1, 3, 3), np.float16),
    )
    assert not bench.parser.parse(conv)
    assert bench.log.said("Conv must have inputs of one type")


@pytest.mark.parametrize("kind", [FLOAT, HALF, INT64])
def test_inputs_of_one_type_are_taken(bench: Any, kind: int) -> None:
    assert bench.parser.parse(models.binary("Add", kind, kind)), bench.log.lines


@pytest.mark.parametrize("to", [FLOAT, HALF])
def test_pixels_may_be_cast_to_floats(bench: Any, to: int) -> None:
    assert bench.parser.parse(models.unary("Cast", UINT8, to, to=to)), bench.log.lines


def test_pixels_that_meet_anything_else_are_refused(bench: Any) -> None:
    assert not bench.parser.parse(models.unary("Transpose", UINT8, UINT8))
    assert bench.log.said("x is UINT8, which can only be cast to float32 or float16")


def test_pixels_that_are_cast_to_integers_are_refused(bench: Any) -> None:
    assert not bench.parser.parse(models.unary("Cast", UINT8, INT64, to=INT64))


def test_bytes_in_the_middle_of_a_network_are_refused(bench: Any) -> None:
    cast = models.node
    middle = models.model(
        [cast("Cast", ["x"], ["b"], to=UINT8), cast("Cast", ["b"], ["y"], to=FLOAT)],
        [("x", FLOAT, [2])],
        [("y", FLOAT, [2])],
    )
    assert not bench.parser.parse(middle)
    assert bench.log.said("b is UINT8, which only inputs and outputs of the network may be")


def test_double_precision_is_refused(bench: Any) -> None:
    double = TensorProto.DOUBLE
    assert not bench.parser.parse(models.unary("Relu", double, double))
    assert bench.log.said("x is DOUBLE")


def test_double_precision_inside_is_refused_too(bench: Any) -> None:
    inside = models.model(
        [
            models.node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
            models.node("Cast", ["wide"], ["y"], to=FLOAT),
        ],
        [("x", FLOAT, [2])],
        [("y", FLOAT, [2])],
    )
    assert not bench.parser.parse(inside)
    assert bench.log.said("wide is DOUBLE")
