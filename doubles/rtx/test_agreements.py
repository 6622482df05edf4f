"""Of each known fault: what the genuine parser and builder, the double, and the lint say of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from doubles.parts import find_rtx
from doubles.rtx.genuine import order_of, outcomes
from doubles.rtx.mistakes import fine, mistakes, quantised_wrongly
from doubles.tensorrt_fixture import trt
from doubles.wanted import or_skipped
from engines.model.lint import complaints
from engines.tensorrt.graphs.orders import Order
from tests.engines.bundles import tiny

__all__ = ["trt"]  # a fixture

README = Path(__file__).parents[1] / "README.md"
NO_MODEL = "bytes that are no model"
ALL = {**mistakes(), **quantised_wrongly(), **fine()}
STRICTER = {  # only the double refuses them
    "Pow of float32 and float16",
    "BatchNormalization with weights of float16",
    "bytes cast to int64",
    "bytes cast to int32",
    "bytes cast to bool",
    "float64 as input",
    "float64 within the network",
    "float64 as a weight",
    "Identity of float16 called float32",
}
LAXER = {"NonZero, whose size depends on values"}  # a plugin, which TensorRT for RTX lacks
TAKEN = fine().keys() - LAXER | {"bytes as a weight"}
INVALID = {  # the check of a bundle refuses them before the lint
    "a network without outputs",
    "a cycle of two nodes",
    "a missing weight",
    "shapes that do not fit",
    NO_MODEL,
}
Refused = Mapping[str, bool]


def ordered(name: str) -> Order:
    return Order(name, ALL[name], {}, []) if name == NO_MODEL else order_of(ALL[name], name)


@pytest.fixture(scope="module")
def genuine() -> Refused:
    with or_skipped():
        find_rtx()
    made = outcomes(ordered(name) for name in ALL)
    return {name: bool(one.refused) for name, one in zip(ALL, made, strict=True)}


def refused_by_double(trt: Any, order: Order) -> bool:
    from doubles.tensorrt.bench import Bench

    bench = Bench(trt)
    if not bench.parser.parse(order.graph):
        return True
    for profile in order.profiles:
        assert bench.profile(profile) >= 0
    return bench.build() is None


def test_the_genuine_builder_refuses_what_the_table_says(genuine: Refused) -> None:
    assert {name for name, refused in genuine.items() if not refused} == TAKEN | STRICTER


def test_the_double_refuses_the_same_but_for_the_differences_in_the_table(
    trt: Any, genuine: Refused
) -> None:
    double = {name: refused_by_double(trt, ordered(name)) for name in ALL}
    assert {name for name in ALL if double[name] and not genuine[name]} == STRICTER
    assert {name for name in ALL if genuine[name] and not double[name]} == LAXER


def test_the_lint_names_what_the_genuine_builder_refuses(genuine: Refused, tmp_path: Path) -> None:
    bundle = tiny(tmp_path)
    refused = [name for name in ALL if genuine[name] and name not in INVALID]
    assert [one for one in refused if not complaints(replace(bundle, encoder=ALL[one]))] == []


@pytest.mark.parametrize("name", sorted(INVALID - {NO_MODEL}))
def test_what_the_lint_leaves_to_the_check_of_a_bundle_is_no_valid_model(name: str) -> None:
    model = onnx.load_from_string(ALL[name])
    if name == "a network without outputs":
        assert not model.graph.output  # `check_graph` wants its outputs by name
        return
    with pytest.raises((onnx.checker.ValidationError, onnx.shape_inference.InferenceError)):
        onnx.checker.check_model(model, full_check=True)


def test_the_readme_has_the_table() -> None:
    rows = {
        "both refuse": ALL.keys() - TAKEN - STRICTER - LAXER,
        "only the double refuses": STRICTER,
        "only TensorRT for RTX refuses": LAXER,
        "both take": TAKEN,
    }
    table = [line for line in README.read_text("utf-8").splitlines() if line.startswith("| ")]
    wanted = [f"| {name} | {how} |" for how, names in rows.items() for name in sorted(names)]
    assert [line for line in wanted if line not in table] == []
