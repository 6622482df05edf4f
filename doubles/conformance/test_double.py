"""The double of TensorRT has no name and no argument that the genuine bindings do not have."""

import enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from doubles import genuine
from doubles.conformance.double import MOVED, complaints
from doubles.conformance.source import used_members
from doubles.conformance.surface import Surface
from doubles.tensorrt_fixture import trt

ROOT = Path(__file__).parents[2]
USERS = sorted([*ROOT.glob("engines/tensorrt/*.py"), *ROOT.glob("doubles/tensorrt/*.py")])

__all__ = ["trt"]  # a fixture


def names(double: ModuleType) -> dict[str, Any]:
    return {name: getattr(double, name) for name in double.__all__}


def test_every_name_is_genuine_in_both_versions(trt: ModuleType, either: Surface) -> None:
    used = used_members(USERS, either)
    exact = either.version == genuine.NEWEST
    assert complaints(names(trt), either, used, exact=exact) == []


def test_the_names_are_looked_at_one_by_one(trt: ModuleType, newest: Surface) -> None:
    assert len(complaints(names(trt), Surface("none", {}, {}), (), exact=True)) == len(trt.__all__)
    empty = Surface("empty", newest.names, {name: {} for name in newest.classes})
    assert len(complaints(names(trt), empty, (), exact=True)) > 100


def test_enum_members_that_moved_are_those_that_are_known_to(
    newest: Surface, oldest: Surface
) -> None:
    used = used_members(USERS, newest)
    assert len(used) > 20
    moved = set()
    for full in used:
        owner, _, key = full.rpartition(".")
        if newest.classes[owner][key].value != oldest.classes[owner][key].value:
            moved.add(full)
    assert moved == MOVED


def renamed_argument(trt: Any) -> type:
    class IExecutionContext(trt.IExecutionContext):
        def set_tensor_address(self, name: str, address: int) -> bool:
            return super().set_tensor_address(name, address)  # type: ignore[no-any-return]

    return IExecutionContext


def one_argument_more(trt: Any) -> type:
    class IExecutionContext(trt.IExecutionContext):
        def execute_async_v3(self, stream_handle: int, event: int = 0) -> bool:
            del event
            return super().execute_async_v3(stream_handle)  # type: ignore[no-any-return]

    return IExecutionContext


def old_method(trt: Any) -> type:
    class IExecutionContext(trt.IExecutionContext):
        def execute_async_v2(self, bindings: list[int], stream_handle: int) -> bool:
            return bool(bindings and stream_handle)

    return IExecutionContext


def old_property(trt: Any) -> type:
    class ICudaEngine(trt.ICudaEngine):
        @property
        def num_bindings(self) -> int:
            return 0

    return ICudaEngine


def property_as_method(trt: Any) -> type:
    class ICudaEngine(trt.ICudaEngine):
        def num_io_tensors(self) -> int:
            return 0

    return ICudaEngine


def method_as_property(trt: Any) -> type:
    class ParserError(trt.ParserError):
        @property
        def desc(self) -> str:
            return ""

    return ParserError


def property_that_can_be_set(trt: Any) -> type:
    class ICudaEngine(trt.ICudaEngine):
        name = ""

    return ICudaEngine


def default_left_out(trt: Any) -> type:
    class Builder(trt.Builder):
        def create_network(self, flags: int) -> object:
            return super().create_network(flags)

    return Builder


def constructor_with_another_argument(trt: Any) -> type:
    class Runtime(trt.Runtime):
        def __init__(self, log: object) -> None:
            super().__init__(log)

    return Runtime


def wrong_value(_: Any) -> Any:
    return enum.IntEnum("DataType", {"FLOAT": 1})


def removed_flag(_: Any) -> Any:
    return enum.IntEnum("BuilderFlag", {"FP16": 0, "TF32": 6})


def class_of_another_name(_: Any) -> type:
    class IEngine:
        """TensorRT has none."""

    return IEngine


@pytest.mark.parametrize(
    ("plant", "place"),
    [
        (renamed_argument, "IExecutionContext.set_tensor_address: ['name', 'address']"),
        (one_argument_more, "IExecutionContext.execute_async_v3"),
        (old_method, "IExecutionContext.execute_async_v2: no such name"),
        (old_property, "ICudaEngine.num_bindings: no such name"),
        (property_as_method, "ICudaEngine.num_io_tensors: a method, genuine is a property"),
        (method_as_property, "ParserError.desc: a property, genuine is a method"),
        (property_that_can_be_set, "ICudaEngine.name: can be set, genuine cannot"),
        (default_left_out, "Builder.create_network: ['flags'], optional []"),
        (constructor_with_another_argument, "Runtime: ['log']"),
        (wrong_value, "DataType.FLOAT"),
        (removed_flag, "BuilderFlag.FP16: no such member"),
        (class_of_another_name, "IEngine: 11.4.0.106 has no such name"),
    ],
)
def test_a_planted_fault_is_found(trt: ModuleType, newest: Surface, plant: Any, place: str) -> None:
    wrong = plant(trt)
    (found,) = complaints({wrong.__name__: wrong}, newest, (), exact=True)
    assert found.startswith(place)


def test_a_used_member_with_another_value_in_another_version_is_found(oldest: Surface) -> None:
    class BuilderFlag(enum.IntEnum):
        VERSION_COMPATIBLE = 12  # 13 in 10.16

    used = ["BuilderFlag.VERSION_COMPATIBLE"]
    assert len(complaints({"BuilderFlag": BuilderFlag}, oldest, used, exact=False)) == 1
    assert complaints({"BuilderFlag": BuilderFlag}, oldest, (), exact=False) == []
