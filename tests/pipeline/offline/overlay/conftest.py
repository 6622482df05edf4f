"""A bundle for films; any bundle is suitable."""

from pathlib import Path

import pytest

from engines.model.bundle import Bundle
from tests.engines.bundles import tiny


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path / "tiny")
