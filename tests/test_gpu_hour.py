"""The script for a GPU runs without one, in the parts that it can, and says what it skips."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_DOUBLES = (
    "import json, sys; from doubles.tensorrt import install; install();"
    "from tests import gpu_hour; [print(json.dumps(gpu_hour.ended(n))) for n in sys.argv[1:]]"
)


def test_without_a_gpu_every_part_is_skipped_with_a_reason(tmp_path: Path) -> None:
    report = tmp_path / "hour.json"
    command = [sys.executable, "-m", "tests.gpu_hour", "--json", str(report), "--parts"]
    parts = ("driver", "tables")
    ran = subprocess.run([*command, ",".join(parts)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(report.read_text())
    assert [found[part]["ending"] for part in parts] == ["skipped", "skipped"]
    assert "pycuda" in found["driver"]["why"]
    assert "TensorRT is not installed" in found["tables"]["why"]


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("pycuda", ["yes", "no"])
def test_the_parts_without_tensorrt_pass_on_the_double_of_the_driver(pycuda: str) -> None:
    parts = ("driver", "memory", "capture")
    command = [sys.executable, "-c", ON_DOUBLES, *parts]
    environment = os.environ | {"DOUBLE_PYCUDA": pycuda}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = dict(zip(parts, map(json.loads, ran.stdout.splitlines()), strict=True))
    assert {part: one["ending"] for part, one in found.items()} == dict.fromkeys(parts, "passed")
    assert found["driver"]["gpus"][0]["name"] == "Double GPU"
    through = {"yes": "pycuda.driver", "no": "engines.tensorrt.driver.bindings"}
    assert found["driver"]["through"] == through[pycuda]


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gpu_hour", "--json", str(tmp_path / "h"), "--parts"]
    ran = subprocess.run([*command, "speed"], capture_output=True, text=True, check=False)
    assert (ran.returncode, "no part speed" in ran.stderr) == (2, True)
