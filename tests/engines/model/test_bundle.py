"""A bundle that breaks the format is refused, with a message that names file, field and wish."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import BundleError
from engines.model import bundle as bundle_module
from engines.model.bundle import check_graphs, find_bundle, load_bundle, write_bundle
from engines.model.ports import Port
from tests.engines.bundles import (
    FEATURES,
    UNITS,
    description,
    encoder_graph,
    floats,
    graph,
    lstm_graph,
    op,
    write_tiny,
)

Words = dict[str, Any]
RNG = np.random.default_rng


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


def edit(folder: Path, change: Callable[[Words], object]) -> Path:
    words = json.loads((folder / "model.json").read_text())
    change(words)
    (folder / "model.json").write_text(json.dumps(words))
    return folder


def with_graphs(path: Path, *, encoder: bytes | None = None, head: bytes | None = None) -> Path:
    words = description(cell="lstm", activation="softmax", labels=("stand", "walk", "run"))
    return write_bundle(
        path,
        words,
        encoder=encoder or encoder_graph(RNG(0)),
        head=head or lstm_graph(RNG(0)),
    )


def zipped(folder: Path, path: Path, *, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, prefix + file.name)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        check_graphs(load_bundle(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_bundle_says_what_it_is(folder: Path) -> None:
    bundle = load_bundle(folder)
    digest = hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    assert (bundle.name, bundle.digest) == ("tiny", digest)
    assert bundle.id == f"tiny@{digest[:8]}"
    assert bundle.labels == ("stand", "walk", "run")
    assert bundle.input.array == Port("frames", np.dtype(np.uint8), (16, 16, 3))
    assert [spec.name for spec in bundle.state] == ["h", "c"]


def test_a_zip_is_the_same_bundle_as_the_folder(folder: Path, tmp_path: Path) -> None:
    assert load_bundle(zipped(folder, tmp_path / "tiny.zip")) == load_bundle(folder)


def test_other_files_in_the_folder_do_not_matter(folder: Path) -> None:
    before = load_bundle(folder)
    (folder / "LICENSE").write_text("free")
    assert load_bundle(folder) == before


def test_equal_seeds_write_equal_bundles(folder: Path, tmp_path: Path) -> None:
    assert load_bundle(write_tiny(tmp_path / "again")).digest == load_bundle(folder).digest
    assert load_bundle(write_tiny(tmp_path / "other", seed=1)).digest != load_bundle(folder).digest


@pytest.mark.parametrize("name", ["model.json", "encoder.onnx", "head.onnx"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} cannot be read: No such file" in refused(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "head.onnx"])
def test_a_damaged_graph_is_found_by_its_sha256(folder: Path, name: str) -> None:
    damaged = bytearray((folder / name).read_bytes())
    damaged[100] ^= 1
    (folder / name).write_bytes(damaged)
    message = refused(folder)
    assert f"{name} is damaged" in message
    assert json.loads((folder / "model.json").read_text())["files"][name] in message


def bones(*pairs: list[Any]) -> Callable[[Words], object]:
    return lambda words: words.update(skeleton={"joints": ["hip", "knee"], "bones": list(pairs)})


def test_a_bundle_can_say_that_its_features_are_a_skeleton(folder: Path) -> None:
    assert load_bundle(folder).skeleton is None
    skeleton = load_bundle(edit(folder, bones([0, 1], [1, 0]))).skeleton
    assert skeleton is not None
    assert skeleton.joints == ("hip", "knee")
    assert skeleton.bones == ((0, 1), (1, 0))


CHANGES: dict[str, tuple[Callable[[Words], object], str]] = {
    "unknown key": (lambda w: w.update(colour="red"), "colour: unknown key"),
    "unknown key inside": (lambda w: w["input"].update(heigth=3), "input.heigth: unknown key"),
    "missing key": (lambda w: w.pop("labels"), "labels: missing"),
    "another schema": (lambda w: w.update(schema=2), "schema: Input should be 1; it is 2"),
    "bad name": (lambda w: w.update(name="a/b"), "name: String should match"),
    "number as text": (lambda w: w.update(features="6"), "features: Input should be a valid int"),
    "no labels": (lambda w: w.update(labels=[]), "labels: Tuple should have at least 1"),
    "label twice": (lambda w: w.update(labels=["a", "b", "a"]), "labels must differ"),
    "activation": (lambda w: w.update(activation="relu"), "'softmax' or 'sigmoid'; it is 'relu'"),
    "fit": (lambda w: w["input"].update(fit="zoom"), "input.fit: Input should be 'stretch'"),
    "zero height": (lambda w: w["input"].update(height=0), "input.height: Input should"),
    "zero std": (
        lambda w: w["input"].update(std=[1, 0, 1]),
        "input.std.1: Input should",
    ),
    "infinite mean": (lambda w: w["input"].update(mean=[1, 2, float("inf")]), "input.mean.2"),
    "negative rate": (lambda w: w["input"].update(rate_hz=-1), "input.rate_hz"),
    "state dtype": (lambda w: w["state"][0].update(dtype="float64"), "state.0.dtype"),
    "state twice": (lambda w: w["state"][1].update(name="h"), "state names must differ"),
    "input twice": (lambda w: w["state"][1].update(input="h_in"), "head inputs must differ"),
    "output taken": (lambda w: w["state"][1].update(output="logits"), "head outputs must differ"),
    "sha": (lambda w: w["files"].update({"head.onnx": "ab"}), "files.head.onnx: String should"),
    "another file": (lambda w: w["files"].update({"x.onnx": "ab"}), "files.x.onnx: unknown key"),
    "feature count": (
        lambda w: w.update(features=7),
        "features is (N, 6), wanted is (N, 7)",
    ),
    "label count": (
        lambda w: w["labels"].append("sit"),
        "logits is (N, 3), wanted is (N, 4)",
    ),
    "frame size": (
        lambda w: w["input"].update(width=17),
        "input frames is (N, 16, 16, 3), wanted is (N, 16, 17, 3)",
    ),
    "state shape": (
        lambda w: w["state"][1].update(shape=[2, 4]),
        "input c_in is (N, 8), wanted is (N, 2, 4)",
    ),
    "state port": (
        lambda w: w["state"][1].update(input="cell"),
        "inputs are c_in, features, h_in; wanted are cell, features, h_in",
    ),
    "state port dtype": (
        lambda w: w["state"][0].update(dtype="float16"),
        "input h_in is float, wanted is float16",
    ),
    "joint twice": (
        lambda w: w.update(skeleton={"joints": ["hip", "hip"], "bones": []}),
        "skeleton: Value error, joints must differ from each other, 'hip' comes twice",
    ),
    "no joints": (
        lambda w: w.update(skeleton={"joints": [], "bones": []}),
        "skeleton.joints: Tuple should have at least 1",
    ),
    "257 joints": (
        lambda w: w.update(skeleton={"joints": [str(n) for n in range(257)], "bones": []}),
        "skeleton.joints: Tuple should have at most 256",
    ),
    "more joints than features": (
        lambda w: w.update(skeleton={"joints": ["a", "b", "c"], "bones": []}),
        "skeleton has 3 joints, which take 9 features; there are 6",
    ),
    "bone to itself": (bones([0, 1], [1, 1]), "bone 1 is [1, 1]; wanted are two different"),
    "bone to nowhere": (bones([0, 2]), "bone 0 is [0, 2]; wanted are two different joints of 0..1"),
    "bone below zero": (bones([-1, 0]), "skeleton.bones.0.0: Input should be greater than"),
    "bone of three": (bones([0, 1, 0]), "skeleton.bones.0: Tuple should have at most 2"),
    "bone of text": (bones(["0", "1"]), "skeleton.bones.0.0: Input should be a valid integer"),
    "skeleton without bones": (
        lambda w: w.update(skeleton={"joints": ["hip"]}),
        "skeleton.bones: missing",
    ),
    "stateless": (lambda w: w.update(state=[]), "wanted are features"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_description_is_refused_by_field(folder: Path, change: str) -> None:
    apply, complaint = CHANGES[change]
    assert complaint in refused(edit(folder, apply))


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"schema": NaN}'])
def test_a_description_that_is_not_json_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_bytes(text.encode("latin-1"))
    assert "model.json: " in refused(folder)


def test_an_oversized_description_is_refused(folder: Path) -> None:
    (folder / "model.json").write_bytes(b" " * ((1 << 20) + 1))
    assert "model.json is larger than the 1,048,576 bytes" in refused(folder)


def test_a_graph_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    assert "head.onnx is not an ONNX model" in refused(with_graphs(tmp_path, head=b"\x01junk"))


def test_an_invalid_graph_is_refused(tmp_path: Path) -> None:
    broken = graph(
        [op("Relu", ["nowhere"], ["features"])],
        {},
        inputs=[helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 16, 16, 3])],
        outputs=[floats("features", FEATURES)],
    )
    assert "encoder.onnx is not a valid ONNX model" in refused(
        with_graphs(tmp_path, encoder=broken)
    )


def passing_head(*nodes: onnx.NodeProto, batch: str | int = "N", opset: int = 18) -> bytes:
    """A head whose nodes lead from `features` to `logits`, and whose state passes through."""
    states = [("h_in", "h_out"), ("c_in", "c_out")]
    value = helper.make_tensor_value_info
    inputs = [value("features", TensorProto.FLOAT, [batch, FEATURES])]
    outputs = [value("logits", TensorProto.FLOAT, [batch, 3])]
    for before, after in states:
        inputs.append(value(before, TensorProto.FLOAT, [batch, UNITS]))
        outputs.append(value(after, TensorProto.FLOAT, [batch, UNITS]))
    passing = [op("Identity", [before], [after]) for before, after in states]
    weights = {"dense": np.ones((FEATURES, 3), np.float32)}
    return graph([*nodes, *passing], weights, inputs=inputs, outputs=outputs, opset=opset)


DENSE = op("MatMul", ["features", "dense"], ["logits"])


def test_a_head_of_plain_ops_is_accepted(tmp_path: Path) -> None:
    head = passing_head(DENSE)
    assert load_bundle(with_graphs(tmp_path, head=head)).head == head


@pytest.mark.parametrize("refusal", ["Elu", "Softplus", "Sin", "RandomNormalLike"])
def test_ops_that_make_a_row_depend_on_its_batch_are_refused(tmp_path: Path, refusal: str) -> None:
    head = passing_head(
        op("MatMul", ["features", "dense"], ["x"]), op(refusal, ["x"], ["logits"], name="odd")
    )
    assert f"node 'odd' is {refusal}, which is refused" in refused(with_graphs(tmp_path, head=head))


def test_dynamic_quantisation_is_refused_with_the_way_out(tmp_path: Path) -> None:
    head = passing_head(op("DynamicQuantizeLinear", ["features"], ["q", "s", "z"]), DENSE)
    message = refused(with_graphs(tmp_path, head=head))
    assert "DynamicQuantizeLinear, which is refused" in message
    assert "export static quantisation or float32" in message


def test_a_recurrent_op_is_refused_inside_a_subgraph_too(tmp_path: Path) -> None:
    inner = helper.make_graph([op("LSTM", ["a", "b", "c"], ["y"])], "inner", [], [])
    node = op("SomethingNew", ["features"], ["z"], body=inner)
    assert "is LSTM, which is refused" in refused(
        with_graphs(tmp_path, head=passing_head(DENSE, node))
    )


def test_ops_of_one_vendor_are_refused(tmp_path: Path) -> None:
    head = passing_head(DENSE, op("Gelu", ["features"], ["z"], domain="com.microsoft"))
    assert "com.microsoft.Gelu; only standard" in refused(with_graphs(tmp_path, head=head))


@pytest.mark.parametrize("opset", [12, 99])
def test_an_opset_out_of_range_is_refused(tmp_path: Path, opset: int) -> None:
    message = refused(with_graphs(tmp_path, head=passing_head(DENSE, opset=opset)))
    assert f"opset {opset}, wanted is 13 to 23" in message


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    message = refused(with_graphs(tmp_path, head=passing_head(DENSE, batch=1)))
    assert "input features is (1, 6), wanted is (N, 6)" in message


def test_weights_in_another_file_are_refused_and_not_looked_for(tmp_path: Path) -> None:
    model = onnx.load_from_string(passing_head(DENSE))
    weight = numpy_helper.from_array(np.ones((FEATURES, 3), np.float32), "dense")
    onnx.external_data_helper.set_external_data(weight, "/etc/passwd")
    weight.ClearField("raw_data")
    model.graph.initializer[0].CopyFrom(weight)
    message = refused(with_graphs(tmp_path, head=model.SerializeToString()))
    assert "weight 'dense' is in another file" in message


def test_a_zip_with_the_files_in_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "deep.zip", prefix="tiny/")
    assert "model.json is missing; it must be at the top" in refused(path)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.zip"
    path.write_bytes(b"PK no")
    assert "is not a zip file" in refused(path)


def test_a_cut_or_damaged_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "tiny.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)
    path.write_bytes(whole[:40] + bytes(200) + whole[240:])
    refused(path)


def test_a_zip_bomb_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", bytes(64 << 20))
    assert path.stat().st_size < 100_000
    assert "model.json is 67,108,864 bytes, at most 1,048,576 are read" in refused(path)


def test_a_zip_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    size = 64 << 20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", bytes(size))
    path.write_bytes(path.read_bytes().replace(size.to_bytes(4, "little"), b"\x10\0\0\0"))
    refused(path)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    assert f"there is no bundle at {tmp_path / 'nowhere'}" in refused(tmp_path / "nowhere")


def test_a_bare_name_is_a_shipped_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "SHIPPED", tmp_path)
    write_tiny(tmp_path / "actions")
    assert find_bundle("actions") == tmp_path / "actions"
    with pytest.raises(BundleError, match=r"named 'action' is shipped; there are: actions\. .*\./"):
        find_bundle("action")


@pytest.mark.parametrize("path", ["./actions", "/opt/x", "models/actions", "actions.zip"])
def test_anything_else_is_a_path(path: str) -> None:
    assert find_bundle(path) == Path(path)
