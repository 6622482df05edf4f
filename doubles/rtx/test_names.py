"""What the double of TensorRT for RTX has besides TensorRT's names is genuine."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from doubles.parts import find_rtx
from doubles.tensorrt_fixture import trt
from doubles.wanted import or_skipped

__all__ = ["trt"]  # a fixture

ENUMS = ("ComputeCapability", "DynamicShapesKernelSpecializationStrategy")
CLASSES = ("IBuilderConfig", "ICudaEngine", "IRuntimeCache", "IRuntimeConfig")
TELL = """
import json
from doubles.rtx import child
child.load()
import tensorrt_rtx as rtx
enums = {name: {k: int(v) for k, v in getattr(rtx, name).__members__.items()} for name in ENUMS}
classes = {name: dir(getattr(rtx, name)) for name in CLASSES}
print(json.dumps({"version": rtx.__version__, "enums": enums, "classes": classes}))
"""


@pytest.fixture(scope="module")
def told() -> Any:
    """The genuine names, from a process of their own."""
    with or_skipped():
        find_rtx()
    program = f"ENUMS, CLASSES = {ENUMS!r}, {CLASSES!r}\n{TELL}"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


def test_the_double_is_of_the_version_that_is_fetched(trt: ModuleType, told: Any) -> None:
    del trt
    from doubles.tensorrt import rtx

    assert rtx.__version__ == told["version"]


@pytest.mark.parametrize("name", ENUMS)
def test_its_enums_have_the_genuine_values(trt: ModuleType, told: Any, name: str) -> None:
    del trt
    from doubles.tensorrt import rtx

    mine = {key: int(value) for key, value in getattr(rtx, name).__members__.items()}
    assert mine == told["enums"][name]


@pytest.mark.parametrize("name", CLASSES)
def test_its_classes_have_genuine_names_alone(trt: ModuleType, told: Any, name: str) -> None:
    del trt
    from doubles.tensorrt import rtx

    public = {one for one in dir(getattr(rtx, name)) if not one.startswith("_")}
    assert public
    assert public <= set(told["classes"][name])
