"""Fixtures of the double's own tests."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from doubles.tensorrt_fixture import trt

__all__ = ["trt"]  # a fixture


@pytest.fixture
def misuses(trt: ModuleType) -> Iterator[list[str]]:
    """What a real TensorRT would have crashed on in this test."""
    del trt
    from doubles.tensorrt.trouble import MISUSES

    MISUSES.clear()
    yield MISUSES
    MISUSES.clear()


@pytest.fixture
def bench(trt: ModuleType) -> Any:
    """A log, a builder with all it needs, and a runtime."""
    from doubles.tensorrt.bench import Bench

    return Bench(trt)


@pytest.fixture
def gpu(trt: ModuleType) -> Iterator[Any]:
    """The first device, and one stream. A sticky error outlives no test that provokes it."""
    del trt
    from doubles.tensorrt import driver
    from doubles.tensorrt.gpu import Gpu

    made = Gpu()
    yield made
    driver.reset()
    made.close()


@pytest.fixture
def second_bench(trt: ModuleType) -> Any:
    """The same again."""
    from doubles.tensorrt.bench import Bench

    return Bench(trt)


@pytest.fixture
def recorder(trt: ModuleType) -> Any:
    """An error recorder that remembers."""
    del trt
    from doubles.tensorrt.bench import Recorder

    return Recorder()
