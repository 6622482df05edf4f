"""Fixtures for the deployment tests: the programs of Prometheus."""

import os
import shutil

import pytest

from tests.cli.conftest import clip, group, start, tiny

__all__ = ["clip", "group", "start", "tiny"]


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Return the path of Prometheus; promtool is beside it (Debian's package has both)."""
    found, tool = shutil.which("prometheus"), shutil.which("promtool")
    if found is None or tool is None:
        why = "no prometheus and promtool on this machine: tests/setup-system.sh installs them"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


@pytest.fixture(scope="session")
def promtool(prometheus: str) -> str:
    """Return the path of promtool."""
    return str(shutil.which("promtool", path=os.path.dirname(prometheus)))  # noqa: PTH120
