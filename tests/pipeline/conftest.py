"""What the tests of several rooms share."""

import pytest

from engines.model.bundle import Bundle
from tests.pipeline.adder import adder_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for the `Adder`."""
    return adder_bundle(tmp_path_factory.mktemp("bundles") / "adder")
