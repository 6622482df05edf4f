"""Both versions of the genuine bindings: without them these tests are skipped, on CI they fail."""

import os

import pytest

from tests.conformance.surface import Surface, surface
from tests.doubles import genuine


def _surface(version: str) -> Surface:
    try:
        genuine.bindings(version)
    except genuine.PartsMissingError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(exc))
    return surface(version)


@pytest.fixture(params=[genuine.NEWEST, genuine.OLDEST])
def either(request: pytest.FixtureRequest) -> Surface:
    """The names of each version."""
    return _surface(request.param)


@pytest.fixture
def newest() -> Surface:
    """The names of the version whose enums the double has."""
    return _surface(genuine.NEWEST)


@pytest.fixture
def oldest() -> Surface:
    """The names of the oldest version that the engine takes."""
    return _surface(genuine.OLDEST)
