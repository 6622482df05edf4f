"""Fixtures of the tests of the driver's double: genuine pycuda on it, in a context of its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from doubles.cuda.arrays import SIZE
from doubles.tensorrt import driver


@pytest.fixture
def cuda(doubles: None) -> Iterator[Any]:
    """pycuda's driver; its context is on top. A broken one does not outlive the test."""
    del doubles
    from pycuda import driver as cuda

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    yield cuda
    driver.reset()
    cuda.Context.pop()
    context.detach()


@pytest.fixture
def raw(cuda: Any) -> Any:
    """cuda.bindings' driver, in the same context."""
    del cuda
    from cuda.bindings import driver as raw

    return raw


@pytest.fixture
def block(cuda: Any) -> Any:
    """A little device memory."""
    return cuda.mem_alloc(SIZE)


@pytest.fixture
def stream(cuda: Any) -> Any:
    """A stream."""
    return cuda.Stream()
