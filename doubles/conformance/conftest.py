"""Both versions of the genuine bindings: without them these tests are skipped, on CI they fail."""

import pytest

from doubles import genuine
from doubles.conformance.surface import Surface, surface
from doubles.wanted import or_skipped


def _surface(version: str) -> Surface:
    with or_skipped():
        genuine.bindings(version)
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
