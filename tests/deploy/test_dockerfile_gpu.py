"""The GPU image alone: CUDA, TensorRT and pycuda; checked without a GPU."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from doubles.building import BINDINGS
from tests.deploy.dockerfile import ROOT, Dockerfile

REQUIREMENTS = ROOT / "doubles" / "requirements"
IMAGE = Dockerfile.read("Dockerfile.gpu")


def test_the_stages_have_the_same_cuda_and_python_and_the_last_has_no_toolkit() -> None:
    build, last = (image.partition("@")[0] for image in IMAGE.arguments("FROM"))
    assert build.replace("-devel-", "-base-") == last
    assert "-devel-" in build


EXTRAS = {  # with its lock -> what it adds
    ("tensorrt", "gpu"): {"tensorrt-cu13", "pycuda", "cuda-bindings"},
    ("tensorrt-rtx", "rtx"): {"tensorrt-rtx-cu13", "cuda-bindings"},
}


def extra(name: str) -> dict[str, SpecifierSet]:
    """Return what the extra adds to longtake: package -> versions allowed by pyproject."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["optional-dependencies"][name])
    return {one.name: one.specifier for one in wanted}


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, flags=re.MULTILINE))


def locked(lock: str = "gpu") -> dict[str, str]:
    """Return what the image's lock adds to that of the CPU image: package -> version."""
    gpu, cpu = (
        pinned((ROOT / f"requirements-{kind}.lock").read_text()) for kind in (lock, "runtime")
    )
    assert cpu.items() <= gpu.items()
    return {name: version for name, version in gpu.items() if name not in cpu}


@pytest.mark.parametrize(("name", "lock"), EXTRAS)
def test_what_it_installs_is_pinned_within_what_the_extra_allows(name: str, lock: str) -> None:
    wanted = extra(name)
    assert wanted.keys() == EXTRAS[name, lock]
    assert [one for one, allowed in wanted.items() if locked(lock)[one] not in allowed] == []


def test_tensorrt_for_rtx_is_installed_in_the_version_that_the_tests_build_with() -> None:
    tested = pinned((REQUIREMENTS / "rtx.txt").read_text())
    assert len(tested) == 2
    assert tested.items() <= locked("rtx").items()


def test_the_libraries_of_tensorrt_have_the_version_of_its_bindings() -> None:
    assert f"tensorrt-cu13-libs=={locked()['tensorrt-cu13-bindings']}" in IMAGE.text.split()


def test_it_contains_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(one).name for one in project["dependencies"]}
    assert "onnxruntime" in names
    assert "torch" not in names


def test_its_versions_are_those_that_the_tests_run_with() -> None:
    known = ("cuda", "pycuda", f"trt-{BINDINGS[0]}")
    tested = pinned("".join((REQUIREMENTS / f"{name}.txt").read_text() for name in known))
    assert {"pycuda", "cuda-bindings", "tensorrt-cu13-bindings"} <= tested.keys()
    assert tested.items() <= locked().items()


def test_pycuda_is_built_without_a_library_that_the_last_stage_lacks() -> None:
    (settings,) = [run for run in IMAGE.arguments("RUN") if ".aksetup-defaults.py" in run]
    assert settings == "echo 'CUDA_ENABLE_CURAND = False' > ~/.aksetup-defaults.py"
    assert IMAGE.text.index(settings) < IMAGE.text.index("pip install")
