"""A stranger's bundle is refused with a sentence before any library parses its graphs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import BundleError
from engines.model import graph_bytes
from engines.model.bundle import check_graphs, load_bundle
from engines.model.graph_bytes import FIELDS, FORBIDDEN, check_bytes
from tests.engines import hostile
from tests.engines.hostile import external, folder, head, head_with, sparse, state

Change = Callable[[bytes], bytes]


def swapped(old: bytes, new: bytes) -> dict[str, Change]:
    return {"described": lambda text: text.replace(old, new)}


DESCRIPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "huge picture": ({"size": (100_000, 100_000)}, "at most 16,777,216 are taken"),
    "picture of 6000 x 6000": ({"size": (6000, 6000)}, "36,000,000 pixels, at most"),
    "width of 10^9": ({"size": (8, 10**9)}, "8,000,000,000 pixels"),
    "width of 10^30": ({"size": (8, 10**30)}, "input"),
    "10^9 features": ({"features": 10**9}, "features: Input should be less than or equal"),
    "huge state": ({"state": [state(10**9)]}, "state.0.shape"),
    "state of 2^80 values": ({"state": [state(2**40, 2**40)]}, "more than 8,388,608 values"),
    "state of many axes": ({"state": [state(*[1] * 9)]}, "state.0.shape"),
    "9000 state tensors": (
        {"state": [state(1, name=f"s{n}") for n in range(9000)]},
        "at most 256 items",
    ),
    "states that are large together": (
        {"state": [state(1 << 20, name=f"s{n}") for n in range(3)]},
        "the state of a stream is 12,582,912 bytes, at most 8,388,608",
    ),
    "labels with control characters": (
        {"labels": ["a\n\x1b[31mRED\x1b[0m", "b", "c"]},
        "labels.0: Value error, text must be printable and on one line, U+000A is not",
    ),
    "label of C1": ({"labels": ["a", "b\u009b31m", "c"]}, "U+009B is not"),
    "label of another direction": ({"labels": ["a", "b", "\u202eevil"]}, "U+202E is not"),
    "label of two lines": ({"labels": ["a", "b", "c\u2028d"]}, "U+2028 is not"),
    "joint with an escape": (
        {"skeleton": {"joints": ["\x1b[2J"], "bones": []}},
        "skeleton.joints.0: Value error, text must be printable",
    ),
    "many bones": (
        {"skeleton": {"joints": ["a"], "bones": [[0, 0]] * 1025}},
        "skeleton.bones: Tuple should have at most 1024",
    ),
    "port with an escape": (
        {"state": [state(1) | {"input": "\x1b]0;title\a"}]},
        "state.0.input: Value error, text must be printable",
    ),
    "100,000 labels": ({"labels": [f"l{n}" for n in range(100_000)]}, "at most 10000 items"),
    "long labels": ({"labels": ["a" * 257, "b", "c"]}, "labels.0: String should have at most 256"),
    "labels that are long together": (
        {"labels": [f"{n:0200}" for n in range(400)]},
        "labels are 80,000 bytes of text, at most 65,536 are taken",
    ),
    "surrogate": (
        {"labels": ["a", "b", "X"], **swapped(b'"X"', b'"\\uD800"')},
        "model.json: ",
    ),
    "name of dots": ({"name": ".."}, "name: String should match"),
    "name with a slash": ({"name": "../../x"}, "name: String should match"),
    "name with a line break": ({"name": "evil\n"}, "name: String should match"),
    "deep JSON": (
        swapped(b'"training": {}', b'"training": {"a": ' + b"[" * 400_000 + b"]" * 400_000 + b"}"),
        "model.json: ",
    ),
    "infinite rate": ({"rate_hz": 1.0, **swapped(b"1.0", b"1e400")}, "input.rate_hz"),
    "tiny rate": ({"rate_hz": 1e-320}, "input.rate_hz: Input should be greater than"),
    "huge rate": ({"rate_hz": 1e300}, "input.rate_hz: Input should be less than"),
    "no UTF-8": ({"described": lambda _: b"\xff\xfe{}"}, "model.json: "),
    "key with an escape": ({"\x1b[2J": 1}, r"'\x1b[2J': unknown key"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_description_beyond_the_limits_is_refused(tmp_path: Path, case: str) -> None:
    changes, sentence = DESCRIPTIONS[case]
    message = refused(folder(tmp_path / "evil", **changes))
    assert sentence in message
    assert message.isprintable()


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def many_nodes() -> onnx.ModelProto:
    nodes = [hostile.op("Add", [f"d{n}", "features"], [f"d{n + 1}"]) for n in range(20_001)]
    return head(hostile.op("Identity", ["features"], ["d0"]), *nodes, last="d20001")


def with_training() -> onnx.ModelProto:
    made = head()
    made.training_info.add().algorithm.initializer.append(external("/etc/passwd"))
    return made


def with_entries_alone() -> onnx.ModelProto:
    weight = external("/etc/passwd")
    weight.data_location = TensorProto.DEFAULT
    weight.raw_data = bytes(12)
    return head_with(weight)


def with_function() -> onnx.ModelProto:
    made = head()
    inner = [hostile.op("Identity", ["a"], ["b"])]
    opset = helper.make_opsetid("", 17)
    made.functions.append(helper.make_function("my", "F", ["a"], ["b"], inner, [opset]))
    return made


def with_sparse_initializer() -> onnx.ModelProto:
    made = head()
    made.graph.sparse_initializer.add().values.CopyFrom(external("victim.bin"))
    return made


def hidden(weight: TensorProto) -> onnx.ModelProto:
    """A weight in a list of tensors in a subgraph in a list of graphs."""
    inner = hostile.op("Foo", [], ["x"], tensors=[weight])
    node = hostile.op("Bar", ["features"], ["l"])
    graph = helper.make_graph([inner], "inner", [], [])
    node.attribute.append(helper.make_attribute("graphs", [graph]))
    return head(node, last="l")


def op_of(domain: str, kind: str) -> onnx.ModelProto:
    return head(hostile.op(kind, ["features", "features"], ["l"], domain=domain), last="l")


def on_devices() -> onnx.ModelProto:
    made = head()
    made.graph.node[0].device_configurations.add().configuration_id = "x"
    return made


PLAIN = numpy_helper.from_array(np.zeros(3, np.float32), "w")
ELSEWHERE = "weight 'w' is in another file"
GRAPHS: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "200,000 nodes": (many_nodes, "has more than 20,000 nodes"),
    "weights above the folder": (
        lambda: head_with(external("../../../../../../etc/passwd")),
        ELSEWHERE,
    ),
    "weights at an absolute path": (lambda: head_with(external("/etc/passwd")), ELSEWHERE),
    "weights in another file, said once": (with_entries_alone, ELSEWHERE),
    "weights deep inside": (lambda: hidden(external("victim.bin")), ELSEWHERE),
    "sparse constant elsewhere": (
        lambda: head_with(PLAIN, sparse(external("victim.bin"))),
        "has a sparse tensor",
    ),
    "sparse constant at an absolute path": (
        lambda: head_with(PLAIN, sparse(external("/etc/passwd"))),
        "has a sparse tensor",
    ),
    "sparse constant in memory": (
        lambda: head_with(PLAIN, sparse(external("*/_ORT_MEM_ADDR_/*"))),
        "has a sparse tensor",
    ),
    "sparse constant": (lambda: head_with(PLAIN, sparse(PLAIN)), "has a sparse tensor"),
    "sparse weight": (with_sparse_initializer, "has a sparse tensor"),
    "training information": (with_training, "has training information"),
    "local function": (with_function, "has local functions"),
    "devices": (on_devices, "is split over devices"),
    "loop": (lambda: op_of("", "Loop"), "is Loop, which is refused"),
    "custom op": (lambda: op_of("com.microsoft", "FusedMatMul"), "com.microsoft.FusedMatMul"),
    "op with an escape": (lambda: op_of("\x1b[31m", "\x1b[2J"), r"\x1b[31m.\x1b[2J"),
    "30 graphs in each other": (lambda: hostile.nested(30), "more than 32 deep"),
    "90 graphs in each other": (lambda: hostile.nested(90), "more than 32 deep"),
    "5000 graphs in each other": (lambda: hostile.nested(5000), "more than 32 deep"),
    "garbage": (lambda: b"\x08\x07" + bytes(range(251)) * 8, "head.onnx"),
    "a million empty nodes": (lambda: b"\x3a\x80\x80\x80\x01" + b"\x0a\x00" * (1 << 20), "than"),
    "an unknown field": (lambda: hostile.raw(head()) + b"\xfa\x7f\x00", "field 2047 in a Model"),
    "a group": (lambda: hostile.raw(head()) + b"\x0b\x0c", "head.onnx"),
    "a cut message": (lambda: hostile.raw(head())[:-3], "is not an ONNX model"),
    "a number without an end": (lambda: b"\x08" + b"\xff" * 11, "is not an ONNX model"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_that_reaches_out_or_asks_for_too_much_is_refused(
    tmp_path: Path, case: str
) -> None:
    make, sentence = GRAPHS[case]
    message = refused(folder(tmp_path / "evil", head_model=make()))
    assert sentence in message
    assert message.isprintable()


@pytest.mark.parametrize("location", [1, 2, (1 << 32) + 1])
def test_a_location_that_is_not_the_file_itself_is_refused_in_any_spelling(location: int) -> None:
    number = bytes([location & 127 | 128, *[location >> 7 * n & 127 | 128 for n in range(1, 5)], 0])
    tensor = b"\x70" + number
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    with pytest.raises(BundleError, match="is in another file"):
        check_bytes(b"\x3a" + bytes([len(graph)]) + graph, "x")


def test_the_fields_that_are_let_through_are_those_of_the_onnx_package() -> None:
    todo, seen = [onnx.ModelProto.DESCRIPTOR], set()
    while todo:
        message = todo.pop()
        for field in message.fields:
            inner = field.message_type
            wanted = inner.name if inner else "number"
            wanted = "bytes" if field.cpp_type == field.CPPTYPE_STRING else wanted
            place = message.name, field.number
            assert place in FORBIDDEN or FIELDS[message.name][field.number] == wanted, place
            if inner and place not in FORBIDDEN and inner.name not in seen:
                seen.add(inner.name)
                todo.append(inner)
    assert seen == FIELDS.keys() - {"ModelProto"}


def test_nothing_is_let_through_that_leads_to_another_file_or_a_sparse_tensor() -> None:
    reached = {kind for fields in FIELDS.values() for kind in fields.values()}
    assert "SparseTensorProto" not in reached
    assert graph_bytes.FIELDS["TensorProto"].get(13) is None


def test_a_sound_bundle_is_loaded(tmp_path: Path) -> None:
    deep = json.loads("[" * 190 + "]" * 190)
    path = folder(tmp_path / "sound", training={"deep": deep})
    assert load_bundle(path).labels == ("a", "b", "c")


# sizes that a picture decides


def counted_by(*nodes: onnx.NodeProto) -> bytes:
    """A head with a range that is as long as `count` says."""
    weights = {"zero": np.int64(0), "one": np.int64(1)}
    long = hostile.op("Range", ["zero", "count", "one"], ["r"])
    summed = hostile.op("Cast", ["r"], ["c"], to=TensorProto.FLOAT)
    return hostile.raw(
        head(*nodes, long, summed, *hostile.largest_of("c"), weights=weights, last="l")
    )


def test_a_size_that_comes_from_a_picture_is_refused(tmp_path: Path) -> None:
    largest = hostile.op("ReduceMax", ["features"], ["m0"], keepdims=0)
    whole = hostile.op("Cast", ["m0"], ["count"], to=TensorProto.INT64)
    path = folder(tmp_path / "evil", head_model=counted_by(largest, whole))
    with pytest.raises(BundleError, match=r"is Range and takes its size from 'count'"):
        check_graphs(load_bundle(path))


def test_a_size_that_comes_from_a_shape_is_accepted(tmp_path: Path) -> None:
    count = hostile.op("Size", ["features"], ["count"])
    check_graphs(load_bundle(folder(tmp_path / "sound", head_model=counted_by(count))))
