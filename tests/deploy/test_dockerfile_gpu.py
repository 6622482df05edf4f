"""The GPU image, as far as it can be checked without building it."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.doubles.building import BINDINGS

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "tests" / "doubles" / "requirements"
TEXT = (ROOT / "deploy" / "Dockerfile.gpu").read_text()
LINES = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
STEPS = [(word, rest) for word, _, rest in (line.partition(" ") for line in LINES if line.strip())]
KNOWN = {
    *("FROM", "RUN", "COPY", "ENV", "USER", "EXPOSE"),
    *("VOLUME", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


def told(instruction: str) -> list[str]:
    return [rest for word, rest in STEPS if word == instruction]


def test_every_line_is_an_instruction() -> None:
    assert {word for word, _ in STEPS} <= KNOWN


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [s for copy in told("COPY") if "--from" not in copy for s in copy.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in sent


def test_the_stages_have_the_same_cuda_and_python_and_the_last_has_no_toolkit() -> None:
    build, last = (image.split()[0] for image in told("FROM"))
    assert build.replace("-devel-", "-base-") == last
    assert "-devel-" in build


def extra() -> dict[str, SpecifierSet]:
    """What the image installs beside longtake: package -> versions that pyproject allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (name,) = re.findall(r'"/source\[(\w+)\]"', TEXT)
    wanted = map(Requirement, project["optional-dependencies"][name])
    return {one.name: one.specifier for one in wanted}


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"([\w-]+)==([\w.]+)", text))


def test_what_it_installs_is_pinned_within_what_the_extra_allows() -> None:
    pins = pinned(TEXT)
    assert pins.keys() == extra().keys() == {"tensorrt-cu13", "pycuda", "cuda-bindings"}
    assert [name for name, allowed in extra().items() if pins[name] not in allowed] == []


def test_it_brings_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(one).name for one in project["dependencies"]}
    assert "onnxruntime" in names
    assert "torch" not in names


def test_its_versions_are_those_that_the_tests_run_with() -> None:
    known = ("cuda", "pycuda", f"trt-{BINDINGS[0]}")
    tested = pinned("".join((REQUIREMENTS / f"{name}.txt").read_text() for name in known))
    tested["tensorrt-cu13"] = tested.pop("tensorrt-cu13-bindings")
    assert pinned(TEXT).items() <= tested.items()


def test_pycuda_is_built_without_a_library_that_the_last_stage_has_not() -> None:
    (settings,) = [run for run in told("RUN") if ".aksetup-defaults.py" in run]
    assert settings == "echo 'CUDA_ENABLE_CURAND = False' > ~/.aksetup-defaults.py"
    assert TEXT.index(settings) < TEXT.index("pip install")


def test_it_runs_a_worker_as_nobody_in_particular() -> None:
    command = [*json.loads(told("ENTRYPOINT")[0]), *json.loads(told("CMD")[0])]
    assert command == ["longtake", "worker"]
    assert told("USER") == ["longtake"]
    run = [sys.executable, "-m", "pipeline", *command[1:], "--help"]
    assert subprocess.run(run, capture_output=True, check=False).returncode == 0


def test_its_settings_are_settings() -> None:
    from pipeline.config import OTHER_VARIABLES, PREFIX, WorkerConfig

    known = {f"{PREFIX}{name}".upper() for name in WorkerConfig.model_fields} | OTHER_VARIABLES
    assert set(re.findall(r"LONGTAKE_\w+", TEXT)) <= known


def test_its_health_check_asks_the_workers_own_port() -> None:
    from pipeline.config import WorkerConfig

    port = str(WorkerConfig.model_fields["metrics_port"].default)
    assert told("EXPOSE") == [port]
    (check,) = told("HEALTHCHECK")
    (code,) = re.findall(r'"-c", "(.*)"\]', check)
    compile(code, "HEALTHCHECK", "exec")
    assert f":{port}/healthz" in code
