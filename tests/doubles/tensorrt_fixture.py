"""The double of TensorRT for tests: without its genuine parts they skip, and on CI they fail."""

import os
from types import ModuleType

import pytest

from tests.doubles import genuine


@pytest.fixture(scope="session")
def trt() -> ModuleType:
    """The double, as `import tensorrt as trt` gives it."""
    try:
        genuine.load()
    except genuine.PartsMissingError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))
    from tests.doubles.tensorrt import api

    return api
