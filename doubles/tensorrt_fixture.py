"""The double of TensorRT for tests: without its genuine parts they skip, and on CI they fail."""

from types import ModuleType

import pytest

from doubles import genuine
from doubles.wanted import or_skipped


@pytest.fixture(scope="session")
def trt() -> ModuleType:
    """The double, as `import tensorrt as trt` gives it."""
    with or_skipped():
        genuine.load()
    from doubles.tensorrt import api

    return api
