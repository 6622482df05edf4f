"""What the runtime throws becomes a `DeviceError`, and a failed step changes no row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import DeviceError
from engines.onnxrt import onnxruntime_engine
from tests.engines.bundles import FEATURES, UNITS, floats, frames, graph, op, tiny


def test_a_graph_that_the_runtime_cannot_load_is_a_device_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot load the graph"):
        onnxruntime_engine(replace(tiny(tmp_path), head=b"junk"), threads=1)


def test_a_step_that_fails_in_the_runtime_changes_no_row(tmp_path: Path) -> None:
    engine = onnxruntime_engine(replace(tiny(tmp_path, cell="gru"), head=head_for_one()), threads=1)
    engine.reserve(2)
    features = engine.encode(frames(2))
    engine.step(features, [0], [0])
    before = engine.read([0, 1])["h"]
    assert before[0].any()
    with pytest.raises(DeviceError, match="ONNX Runtime failed"):
        engine.step(features, [0, 1], [0, 1])
    np.testing.assert_array_equal(engine.read([0, 1])["h"], before)


def test_the_runtime_itself_writes_nothing_of_a_graph_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = onnxruntime_engine(replace(tiny(tmp_path, cell="gru"), head=head_for_one()), threads=1)
    engine.reserve(2)
    features = engine.encode(frames(2))
    with pytest.raises(DeviceError):
        engine.step(features, [0, 1], [0, 1])
    assert capfd.readouterr() == ("", "")


def head_for_one() -> bytes:
    """A head that fails as soon as there are two lines."""
    nodes = [
        op("Reshape", ["features", "one_line"], ["line"]),
        op("MatMul", ["line", "dense"], ["logits"]),
        op("MatMul", ["line", "wide"], ["h_out"]),
        op("Identity", ["h_in"], ["unused"]),
    ]
    weights = {
        "one_line": np.array([1, FEATURES]),
        "dense": np.ones((FEATURES, 3), np.float32),
        "wide": np.ones((FEATURES, UNITS), np.float32),
    }
    inputs = [floats("features", FEATURES), floats("h_in", UNITS)]
    outputs = [floats("logits", 3), floats("h_out", UNITS)]
    return graph(nodes, weights, inputs=inputs, outputs=outputs)


def test_at_least_one_thread_is_demanded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="threads must be 1 or more"):
        onnxruntime_engine(tiny(tmp_path), threads=0)
