"""What TensorRT would refuse is told without TensorRT; what it takes is left in peace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.model.bundle import find_bundle, load_bundle
from engines.model.lint import complaints
from engines.model.seed import write_seed
from tests.engines.bundles import tiny


def test_the_shipped_bundle_and_the_seed_are_taken(tmp_path: Path) -> None:
    assert complaints(load_bundle(find_bundle("actions"))) == []
    assert complaints(load_bundle(write_seed(tmp_path))) == []


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_plain_cells_are_taken(cell: str, tmp_path: Path) -> None:
    assert complaints(tiny(tmp_path, cell=cell)) == []


def unknown(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Det", ["x"], ["odd"], name="odd"))


def mixed(graph: onnx.GraphProto) -> None:
    half = numpy_helper.from_array(np.array(1, np.float16), "half")
    graph.initializer.append(half)
    graph.node.append(helper.make_node("Add", ["scaled", "half"], ["odd"], name="odd"))


def permuted(graph: onnx.GraphProto) -> None:
    graph.node.append(
        helper.make_node("Transpose", ["frames"], ["odd"], perm=[0, 3, 1, 2], name="odd")
    )


def counted(graph: onnx.GraphProto) -> None:
    graph.node.append(
        helper.make_node("Cast", ["frames"], ["odd"], to=TensorProto.INT32, name="odd")
    )


def doubled(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Cast", ["scaled"], ["odd"], to=TensorProto.DOUBLE))


def ragged(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("NonZero", ["scaled"], ["odd"], name="odd"))


def cropped(graph: onnx.GraphProto) -> None:
    """To as many rows as the pixels' largest value, which nobody knows beforehand."""
    zero, one, axes = (np.array([number], np.int64) for number in (0, 1, 1))
    for name, array in (("zero", zero), ("single", one), ("axes", axes)):
        graph.initializer.append(numpy_helper.from_array(array, name))
    graph.node.extend(
        (
            helper.make_node("ReduceMax", ["raw"], ["largest"], keepdims=0),
            helper.make_node("Cast", ["largest"], ["rows"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["rows", "single"], ["until"]),
            helper.make_node("Slice", ["raw", "zero", "until", "axes"], ["odd"], name="odd"),
        )
    )


def compared(graph: onnx.GraphProto) -> None:
    half = numpy_helper.from_array(np.array(1, np.float16), "half")
    graph.initializer.append(half)
    graph.node.append(helper.make_node("Less", ["half", "scaled"], ["odd"]))


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (unknown, "node 'odd' (Det) is an operator that TensorRT's parser did not know in 10.1"),
        (mixed, "node 'odd' (Add) mixes types (scaled float, half float16): cast them to one"),
        (compared, "node 'odd' (Less) mixes types (half float16, scaled float): cast them to one"),
        (permuted, "node 'odd' (Transpose) takes frames as uint8: cast it to float32 or float16"),
        (counted, "node 'odd' (Cast) takes frames as uint8: cast it to float32 or float16"),
        (doubled, "node 'odd' (Cast): its output odd is float64, which TensorRT does not have"),
        (ragged, "node 'odd' (NonZero) has an output whose size depends on values"),
        (
            cropped,
            "node 'odd' (Slice): its output odd has unknown sizes in dimensions [0, 1, 2, 3]",
        ),
    ],
)
def test_one_fault_draws_one_complaint_that_names_graph_node_and_fault(
    plant: Callable[[onnx.GraphProto], None], told: str, tmp_path: Path
) -> None:
    bundle = tiny(tmp_path)
    model = onnx.load_from_string(bundle.encoder)
    plant(model.graph)
    (found,) = complaints(replace(bundle, encoder=model.SerializeToString()))
    assert found.startswith(f"encoder.onnx: {told}")


def test_a_float64_weight_of_the_head_is_told(tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    model = onnx.load_from_string(bundle.head)
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float64), "heavy"))
    (found,) = complaints(replace(bundle, head=model.SerializeToString()))
    assert found.startswith("head.onnx: heavy is float64")


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [("Where", ["mask", "raw", "scaled"]), ("ScatterElements", ["scaled", "places", "raw"])],
)
def test_masks_and_places_may_be_of_another_type_than_what_they_choose(
    operator: str, inputs: list[str], tmp_path: Path
) -> None:
    bundle = tiny(tmp_path)
    model = onnx.load_from_string(bundle.encoder)
    mask = helper.make_node("Less", ["raw", "middle"], ["mask"])
    places = helper.make_node("Cast", ["raw"], ["places"], to=TensorProto.INT64)
    model.graph.node.extend((mask, places, helper.make_node(operator, inputs, ["chosen"])))
    assert complaints(replace(bundle, encoder=model.SerializeToString())) == []
