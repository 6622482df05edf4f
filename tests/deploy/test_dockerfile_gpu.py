"""The GPU image, as far as it can be checked without building it."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
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


def test_what_it_installs_is_an_extra_that_brings_no_torch() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extra,) = re.findall(r'"/source\[(\w+)\]"', TEXT)
    wanted = [*extras["dependencies"], *extras["optional-dependencies"][extra]]
    assert {"tensorrt-cu13", "pycuda"} <= {re.split("[<>=]", one)[0] for one in wanted}
    assert not [one for one in wanted if one.startswith("torch")]


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
