"""The engine keeps its contract where cuda-bindings take the place of pycuda."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUITES = ("tests/contracts/test_engine.py", "tests/engines/tensorrt/test_engine.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("doubles")
def test_the_engines_tests_pass_without_pycuda() -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not GPU")
    ran = subprocess.run(
        [*command, *SUITES],
        cwd=ROOT,
        env=os.environ | {"DOUBLE_PYCUDA": "no"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
