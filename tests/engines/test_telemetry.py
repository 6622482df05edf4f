"""ONNX Runtime sends no telemetry from any process of ours. It is silent where `CI` is set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .bundles import write_tiny

# prints what the variable is at the moment when onnxruntime is first looked for
WATCH = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "onnxruntime" and not hasattr(sys, "seen"):
            sys.seen = print(os.environ.get("ORT_DISABLE_TELEMETRY"), flush=True)
sys.meta_path.insert(0, Watch())
"""
RUN = """
import sys
from pathlib import Path
from engines.model.bundle import load_bundle
from engines.load import load_engine
load_engine("onnxruntime", load_bundle(Path(sys.argv[1])), threads=1).close()
"""
MODULES = [
    *("engines.onnxrt", "engines.load", "pipeline.worker.service", "pipeline.cli.model.engine"),
    *("pipeline.cli.run", "pipeline.demo.stage", "tests.chaos.model"),
]


def python(code: str, *arguments: str, home: Path, **extra: str) -> str:
    kept = {
        name: value for name, value in os.environ.items() if name not in {"CI", "XDG_CACHE_HOME"}
    }
    environment = kept | {"HOME": str(home), "ORT_DISABLE_TELEMETRY": "0"} | extra
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("module", MODULES)
def test_telemetry_is_off_before_onnxruntime_is_imported(module: str, tmp_path: Path) -> None:
    assert python(f"{WATCH}importlib.import_module('{module}')", home=tmp_path) == "1\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_ours_has_telemetry_off(method: str, tmp_path: Path) -> None:
    child = (
        "import engines, multiprocessing, os\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context('{method}').Pool(1) as pool:\n"
        "        print(pool.apply(os.getenv, ('ORT_DISABLE_TELEMETRY',)))\n"
    )
    assert python(child, home=tmp_path) == "1\n"


def test_running_a_bundle_writes_nothing_into_the_home_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    python(RUN, str(write_tiny(tmp_path / "tiny")), home=home)
    assert list(home.rglob("*")) == []
