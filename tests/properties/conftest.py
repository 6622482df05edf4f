"""What most tests of the state protocol begin with."""

import pytest

from engines.model.bundle import Bundle
from tests.engines.bundles import tiny
from tests.properties.worlds import film, make_world
from tests.world import World


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The smallest bundle."""
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def world(bundle: Bundle) -> World:
    """Six frames of one stream, and a worker that has finished them and runs on."""
    made = make_world(bundle)
    film(made, 6)
    made.launch("one")
    made.settle()
    return made
