"""What TensorRT would refuse is told without TensorRT; what it takes is left in peace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle, find_bundle, load_bundle
from engines.lint import complaints
from engines.seed import write_seed
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
    half = numpy_helper.from_array(np.float16(1), "half")
    graph.initializer.append(half)
    graph.node.append(helper.make_node("Add", ["scaled", "half"], ["odd"], name="odd"))


def permuted(graph: onnx.GraphProto) -> None:
    graph.node.append(
        helper.make_node("Transpose", ["frames"], ["odd"], perm=[0, 3, 1, 2], name="odd")
    )


def doubled(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Cast", ["scaled"], ["odd"], to=TensorProto.DOUBLE))


def ragged(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("NonZero", ["scaled"], ["odd"], name="odd"))


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (unknown, "encoder.onnx: node 'odd' is Det, which"),
        (mixed, "encoder.onnx: node 'odd' (Add) mixes types (scaled float, half float16)"),
        (permuted, "encoder.onnx: node 'odd' (Transpose) takes frames as uint8"),
        (doubled, "encoder.onnx: odd is float64"),
        (ragged, "encoder.onnx: node 'odd' is NonZero, whose size depends on values"),
    ],
)
def test_what_tensorrt_refuses_is_told(
    plant: Callable[[onnx.GraphProto], None], told: str, tmp_path: Path
) -> None:
    bundle: Bundle = tiny(tmp_path)
    model = onnx.load_from_string(bundle.encoder)
    plant(model.graph)
    found = complaints(replace(bundle, encoder=model.SerializeToString()))
    assert [one for one in found if one.startswith(told)]
