"""Both images, as far as they can be checked without building them."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from pipeline.config import OTHER_VARIABLES, WorkerConfig
from pipeline.settings import PREFIX
from tests.deploy.commands import refusal
from tests.deploy.dockerfile import DEPLOY, ROOT, Dockerfile, is_sent

INSTRUCTIONS = {  # all that there are, by Docker's reference
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
    *("LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
PORT = str(WorkerConfig.model_fields["metrics_port"].default)

pytestmark = pytest.mark.parametrize("name", ["Dockerfile.cpu", "Dockerfile.gpu"])


@pytest.fixture
def image(name: str) -> Dockerfile:
    return Dockerfile.read(name)


def test_every_line_is_an_instruction(image: Dockerfile) -> None:
    assert [step for step in image.steps if step.word not in INSTRUCTIONS] == []


def test_what_is_copied_exists_and_is_sent_to_the_builder(image: Dockerfile) -> None:
    assert image.copied()
    assert [s for s in image.copied() if not (ROOT / s).exists() or not is_sent(s)] == []


def test_its_bases_are_pinned_to_a_version(image: Dockerfile) -> None:
    bases = [rest.split()[0].partition("@")[0] for rest in image.arguments("FROM")]
    tags = [base.rpartition(":")[2] for base in bases]
    assert len(tags) == 2
    assert [tag for tag in tags if not re.match(r"\d+\.\d+\.\d+-", tag)] == []


def test_what_comes_from_the_build_stays_where_it_was(image: Dockerfile) -> None:
    """A virtual environment contains absolute paths, so it cannot be moved."""
    moved = [copy.split()[1:] for copy in image.arguments("COPY") if "--from=build" in copy]
    assert moved == [["/opt/longtake", "/opt/longtake"]]


def test_it_runs_a_worker_as_an_unprivileged_user(image: Dockerfile) -> None:
    command = [
        *json.loads(image.arguments("ENTRYPOINT")[0]),
        *json.loads(image.arguments("CMD")[0]),
    ]
    assert command == ["longtake", "worker"]
    assert refusal(command[1:]) is None
    (user,) = image.arguments("USER")
    assert int(user) > 0  # Kubernetes refuses a name under `runAsNonRoot`
    assert f"--uid {user} longtake" in " ".join(image.arguments("RUN"))


def test_it_works_in_a_folder_that_is_empty_and_not_its_own(image: Dockerfile) -> None:
    """A bundle that names a file without a folder finds nothing."""
    words = [step.word for step in image.stages()[-1]]
    assert image.arguments("WORKDIR") == ["/var/empty"]
    assert words.index("USER") < words.index("WORKDIR") < words.index("ENTRYPOINT")


def test_its_settings_are_settings(image: Dockerfile) -> None:
    known = {f"{PREFIX}{name}".upper() for name in WorkerConfig.model_fields} | OTHER_VARIABLES
    assert set(re.findall(r"LONGTAKE_\w+", image.text)) <= known


def test_its_onnxruntime_sends_no_telemetry(image: Dockerfile) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in image.arguments("ENV")[-1].split()


def test_its_health_check_uses_the_workers_own_port(image: Dockerfile) -> None:
    assert PORT in image.arguments("EXPOSE")[0].split()
    (check,) = image.arguments("HEALTHCHECK")
    (code,) = re.findall(r'"-c", "(.*)"\]', check)
    compile(code, "HEALTHCHECK", "exec")
    assert f":{PORT}/healthz" in code


def test_what_it_keeps_is_its_users_own(image: Dockerfile, tmp_path: Path) -> None:
    """The command that makes the folder is run here, for another folder and our own user."""
    (folder,) = image.arguments("VOLUME")
    (user,) = image.arguments("USER")
    runs = [step for step in image.stages()[-1] if step.word == "RUN"]
    (making,) = [command for step in runs for command in step.commands if folder in command]
    ours = {folder: str(tmp_path / "kept"), user: str(os.getuid())}
    assert user in making
    subprocess.run([ours.get(word, word) for word in making], check=True)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700


def test_the_docs_build_it(name: str) -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    commands = [line.split() for line in re.findall(r"^docker build .*$", pages, re.MULTILINE)]
    files = [command[command.index("-f") + 1] for command in commands]
    assert DEPLOY / name in [ROOT / file for file in files]
    assert {command[-1] for command in commands} == {"."}  # the whole tree is sent
