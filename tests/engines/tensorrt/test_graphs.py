"""The step's graph over tables is the head's own, with its lines gathered and checked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import checker, helper

from engines.model.bundle import Bundle, find_bundle, load_bundle
from engines.model.description import StateSpec
from engines.tensorrt.graphs.subgraphs import (
    BROKEN,
    ENCODED,
    MOST_INPUTS,
    PICKS,
    ROWS,
    step_graph,
    table_of,
)
from tests.engines.bundles import FEATURES, floats, graph, op, tiny

Arrays = Mapping[str, NDArray[Any]]
PLACES = 7  # of a table
CHOSEN = {PICKS: np.array([3, 3, 0, 1023], np.int32), ROWS: np.array([6, 0, 2, 5], np.int32)}


def shipped(folder: Path, name: str) -> Bundle:
    return load_bundle(find_bundle(name)) if name == "actions" else tiny(folder, cell=name)


def holding(folder: Path, spec: StateSpec, *, opset: int = 18) -> Bundle:
    """A bundle whose head keeps its state as it is, and whose logits are features."""
    kind = helper.np_dtype_to_tensor_dtype(spec.numpy_dtype)
    state = [
        helper.make_tensor_value_info(name, kind, ["N", *spec.shape])
        for name in (spec.input, spec.output)
    ]
    head = graph(
        [
            op("Identity", [spec.input], [spec.output]),
            op("MatMul", ["features", "some"], ["logits"]),
        ],
        {"some": np.eye(FEATURES, 3, dtype=np.float32)},
        inputs=[floats("features", FEATURES), state[0]],
        outputs=[floats("logits", 3), state[1]],
        opset=opset,
    )
    return replace(tiny(folder), head=head, state=(spec,))


def held(dtype: Any, shape: tuple[int, ...]) -> StateSpec:
    return StateSpec(name="s", input="s_in", output="s_out", shape=shape, dtype=dtype)


def tables(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """Draw features and a table of each state tensor."""
    rng = np.random.default_rng(1)
    states = {
        table_of(spec.name): rng.normal(size=(PLACES, *spec.shape)).astype(spec.numpy_dtype)
        for spec in bundle.state
    }
    return {ENCODED: rng.normal(size=(MOST_INPUTS, bundle.features)).astype(np.float32), **states}


def run(content: bytes, feeds: Arrays) -> dict[str, NDArray[Any]]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def broken(bundle: Bundle, given: Arrays) -> list[float]:
    found = run(step_graph(bundle), {**given, **CHOSEN})[BROKEN]
    assert found.dtype == np.float32
    return list(found.tolist())


@pytest.mark.parametrize("name", ["lstm", "gru", "actions"])
def test_a_step_is_the_head_over_lines_gathered_by_hand(name: str, tmp_path: Path) -> None:
    bundle = shipped(tmp_path, name)
    given = tables(bundle)
    found = run(step_graph(bundle), {**given, **CHOSEN})
    by_hand = {s.input: given[table_of(s.name)][CHOSEN[ROWS]] for s in bundle.state}
    wanted = run(bundle.head, {"features": given[ENCODED][CHOSEN[PICKS]], **by_hand})
    assert found.pop(BROKEN).tolist() == [0, 0, 0, 0]
    assert set(found) == set(wanted)
    for output, array in wanted.items():
        np.testing.assert_array_equal(found[output], array)


@pytest.mark.parametrize("name", ["lstm", "gru", "actions"])
def test_its_ports_are_what_the_engine_binds(name: str, tmp_path: Path) -> None:
    bundle = shipped(tmp_path, name)
    step = onnx.load_from_string(step_graph(bundle)).graph
    assert [value.name for value in step.input] == [
        *(ENCODED, PICKS, ROWS),
        *(table_of(spec.name) for spec in bundle.state),
    ]
    head = onnx.load_from_string(bundle.head).graph
    assert [v.name for v in step.output] == [*(v.name for v in head.output), BROKEN]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_counted_line_by_line(bad: float, tmp_path: Path) -> None:
    bundle = holding(tmp_path, held("float32", (2, 3)))
    given = tables(bundle)
    given[table_of("s")][5, 1] = bad  # three numbers of the row that comes last
    given[ENCODED][3, 2] = bad  # of the first two: all three logits, for it times zero is NaN
    assert broken(bundle, given) == [3, 3, 0, 3]


@pytest.mark.parametrize("state", ["h", "c"])
def test_each_state_tensor_is_counted(state: str, tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    (spec,) = (one for one in bundle.state if one.name == state)
    model = onnx.load_from_string(bundle.head)
    spoilt = [op("Div", [f"{spec.output}_whole", "nought"], [spec.output])]
    for node in model.graph.node:
        node.output[:] = [f"{n}_whole" if n == spec.output else n for n in node.output]
        node.input[:] = [f"{n}_whole" if n == spec.output else n for n in node.input]
    model.graph.node.extend(spoilt)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.float32), "nought"))
    bundle = replace(bundle, head=model.SerializeToString())
    assert broken(bundle, tables(bundle)) == [spec.shape[0]] * 4


@pytest.mark.parametrize("opset", [13, 18, 21])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_floats_of_every_kind_are_counted_in_every_opset(
    dtype: str, opset: int, tmp_path: Path
) -> None:
    bundle = holding(tmp_path, held(dtype, (2,)), opset=opset)
    given = tables(bundle)
    given[table_of("s")][2] = np.nan, -np.inf
    assert broken(bundle, given) == [0, 0, 2, 0]
    checker.check_model(onnx.load_from_string(step_graph(bundle)), full_check=True)


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_whole_numbers_are_gathered_and_not_counted(dtype: str, tmp_path: Path) -> None:
    bundle = holding(tmp_path, held(dtype, (2,)))
    given = tables(bundle)
    given[table_of("s")][:] = np.iinfo(dtype).max - np.arange(2 * PLACES).reshape(PLACES, 2)
    found = run(step_graph(bundle), {**given, **CHOSEN})
    np.testing.assert_array_equal(found["s_out"], given[table_of("s")][CHOSEN[ROWS]])
    assert found[BROKEN].tolist() == [0, 0, 0, 0]


def test_a_state_of_one_number_is_counted_too(tmp_path: Path) -> None:
    bundle = holding(tmp_path, held("float32", ()))
    given = tables(bundle)
    given[table_of("s")][0] = np.nan
    assert broken(bundle, given) == [0, 1, 0, 0]


def test_a_head_without_state_has_neither_tables_nor_rows(tmp_path: Path) -> None:
    head = graph(
        [op("MatMul", ["features", "some"], ["logits"])],
        {"some": np.eye(FEATURES, 3, dtype=np.float32)},
        inputs=[floats("features", FEATURES)],
        outputs=[floats("logits", 3)],
    )
    bundle = replace(tiny(tmp_path), head=head, state=())
    given = {ENCODED: tables(bundle)[ENCODED], PICKS: CHOSEN[PICKS]}
    found = run(step_graph(bundle), given)  # an input that nothing uses is none for TensorRT
    np.testing.assert_array_equal(found["logits"], given[ENCODED][given[PICKS], :3])


@pytest.mark.parametrize("name", ["table", "rows", "features", "logits", "some"])
def test_a_state_may_be_called_like_anything_in_the_head(name: str, tmp_path: Path) -> None:
    spec = StateSpec(name=name, input="table", output="rows", shape=(2,), dtype="float32")
    bundle = holding(tmp_path, spec)
    content = step_graph(bundle)
    checker.check_model(onnx.load_from_string(content), full_check=True)
    assert set(run(content, {**tables(bundle), **CHOSEN})) == {"logits", "rows", BROKEN}
